"""The documentation site: built without a complaint, whole, and from one place."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import yaml

from soundpost.documentation import SITE
from support.pages import ROOT

BUILD: Final = ROOT / "scripts/build_docs.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("docs")
    done = subprocess.run([sys.executable, BUILD, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return folder / "site"


def test_every_page_has_its_address(site: Path) -> None:
    assert (site / "index.html").exists()
    places = [place for place in build_docs().pages().values() if place.suffix == ".md"]
    assert [place for place in places if not (site / build_docs().address(place) / "index.html").exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    listed = list(entries(configuration()["nav"]))
    pages = [place.as_posix() for place in build_docs().pages().values() if place.suffix == ".md"]
    assert sorted(listed) == sorted(pages)


def test_a_broken_link_and_a_missing_heading_stop_the_build(tmp_path: Path) -> None:
    for link in ("nowhere.md", "django.md#nowhere"):
        module = build_docs()
        collect = module.collect

        def broken(target: Path, collect: Any = collect, link: str = link) -> None:
            collect(target)
            (target / "flask.md").write_text(f"# Flask\n\n[a page]({link})\n")

        module.collect = broken  # type: ignore[attr-defined]
        assert module.main(tmp_path / "docs") == 1


def test_the_pages_load_nothing_from_other_sites(site: Path) -> None:
    loading = (
        r"<(?:script|img|iframe|source|link(?=[^>]*rel=\"?(?:stylesheet|preload|preconnect|icon)))[^>]*https?://[^>]*>"
    )
    assert [found for page in site.rglob("*.html") for found in re.findall(loading, page.read_text())] == []
    assert [page for page in site.rglob("*.css") if re.search(r"url\(['\"]?https?:|@import", page.read_text())] == []


def test_no_link_of_a_page_leads_nowhere(site: Path) -> None:
    dead = []
    for page in site.rglob("*.html"):
        for link in re.findall(r"""<(?:a|img|script)\b[^>]*?\b(?:href|src)=["']?([^"'\s>#?]+)""", page.read_text()):
            if "://" not in link and not link.startswith(("mailto:", "data:", "/")):
                target = page.parent / link
                if not (target / "index.html").is_file() and not target.is_file():
                    dead.append(f"{page.relative_to(site)}: {link}")
    assert dead == []


def test_links_to_code_lead_to_the_repository(tmp_path: Path) -> None:
    build_docs().collect(tmp_path / "docs")
    targets = {
        link
        for page in (tmp_path / "docs/examples").glob("*.md")
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    }
    assert "https://github.com/soundpost/soundpost/blob/main/examples/fastapi_orders/shop.py" in targets
    beside = {link.partition("#")[0] for link in targets if "://" not in link}
    assert [link for link in beside if not (tmp_path / "docs/examples" / link).exists()] == []


def test_one_address_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (configuration()["site_url"], project["urls"]["Documentation"]) == (SITE, SITE)


def test_links_of_the_readme_work_on_pypi() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)|<(https?:[^>]+)>", build_docs().readme_for_pypi())
    addresses = [first or second for first, second in targets]
    assert [address for address in addresses if not address.startswith("https://")] == []
    own = {address.removeprefix(SITE).partition("#")[0] for address in addresses if address.startswith(SITE)}
    assert {"quickstart/django/", "cookbook/", "contributing/", "images/playground.png", ""} <= own
    assert own <= {build_docs().address(place) for place in build_docs().pages().values()}


def entries(nav: Any) -> list[str]:
    """Return all pages of the navigation, or of a part of it."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in entries(part)]


def configuration() -> dict[str, Any]:
    """Return mkdocs.yml, without the one object of Python's in it."""
    text = re.sub(r"!!python/object/apply:\S+", "", (ROOT / "mkdocs.yml").read_text())
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def build_docs() -> ModuleType:
    """Return ``scripts/build_docs.py`` as a new module."""
    spec = importlib.util.spec_from_file_location("build_docs", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

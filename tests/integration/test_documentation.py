"""What the documentation says is so: its examples run, its tables are whole."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from soundpost.client import SyncClient
from soundpost.config.load import load
from soundpost.config.options import OPTIONS
from soundpost.environment import REVERB
from support.newcomer import newcomer
from support.pages import anchors

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs/README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("examples/*/README.md"))]


def examples(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_what_the_readme_publishes_arrives(tmp_path: Path) -> None:
    (code,) = examples("README.md", "python")
    with newcomer(tmp_path) as person:
        person.type("soundpost init")
        person.type("soundpost start")
        (tmp_path / "shop.py").write_text(code)
        with SyncClient(f"http://127.0.0.1:{person.realtime}", person.app()["key"]) as client:
            orders = client.subscribe("orders")
            person.type("python shop.py")
            event = orders.next(timeout=20)
    assert (event.name, event.data) == ("OrderPlaced", {"id": 7, "customer": "Ann"})


def test_the_home_page_begins_as_the_readme_does() -> None:
    def blocks(page: str) -> list[str]:
        return examples(page, "sh")[:1] + examples(page, "python") + examples(page, "js")

    assert blocks("docs/README.md") == blocks("README.md")


def test_the_configuration_example_is_valid(tmp_path: Path) -> None:
    (example,) = examples("docs/configuration.md", "toml")
    (tmp_path / "soundpost.toml").write_text(example)
    loaded = load(config_file=None, overrides={}, environ={"APP_SECRET": "s3cret"}, directory=tmp_path)
    assert [app.id for app in loaded.settings.apps] == ["1", "2"]
    assert loaded.settings.apps[0].secret == "s3cret"


def test_the_configuration_page_has_every_option_and_variable() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    missing = [option.variable for option in OPTIONS.values() if f"`{option.variable}`" not in page]
    missing += [name for name in REVERB if f"`{name}`" not in page]
    assert not missing


def test_the_index_has_every_page() -> None:
    listed = re.findall(r"^- \[[^]]+\]\((\w[^)#]*)\)[:,] ", INDEX.read_text(), re.MULTILINE)
    pages = {page.relative_to(INDEX.parent).as_posix() for page in INDEX.parent.rglob("*.md")}
    assert sorted(listed) == sorted(pages - {INDEX.name})


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_files_that_pages_for_contributors_name_are_there(page: str) -> None:
    package = ROOT / "src/soundpost"
    folders = (ROOT, ROOT / "tests", package, package / "backplane/redis", package / "tools", package / "broadcasting")
    named = re.findall(r"`([a-z_]+/[a-z_/]*\w+\.(?:py|c|toml))`", (ROOT / page).read_text())
    named = [name for name in named if "NAME" not in name]
    assert len(named) > 10
    assert [name for name in named if not any((folder / name).exists() for folder in folders)] == []


def test_the_public_names_are_there() -> None:
    rows = re.findall(
        r"^\| (`soundpost[^|]*) \| ([^|]*) \|$",
        (ROOT / "docs/public-api.md").read_text().partition("### Commands")[0],
        re.MULTILINE,
    )
    assert len(rows) > 8
    for packages, names in rows:
        modules = [import_module(name) for name in re.findall(r"`(soundpost[a-z_.]*)`", packages)]
        if "`soundpost.testing`" in packages:
            modules.append(import_module("soundpost.testing.plugin"))
        for name in re.findall(r"`(\w+)`", names):
            assert any(hasattr(module, name) for module in modules), f"{packages}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text)
    found = [((page.parent / target) if target else page, anchor) for target, anchor in targets]
    assert [path for path, _ in found if not path.exists()] == []
    assert [(path, anchor) for path, anchor in found if anchor and anchor not in anchors(path)] == []

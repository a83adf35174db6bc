"""What the documentation says is so: its examples run, its tables are whole."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from soundpost.config.load import load
from soundpost.config.options import OPTIONS
from soundpost.environment import REVERB
from support.harness import DEFAULT_APP, running_server

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs/README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("examples/*/README.md"))]


def examples(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_readme_s_backend_publishes() -> None:
    (code,) = examples("README.md", "python")
    app = msgspec.structs.replace(DEFAULT_APP, key="your-app-key", secret="your-app-secret")
    with running_server(apps=[app]) as server, server.connect() as client:
        client.subscribe("orders")
        done = subprocess.run(
            [sys.executable, "-c", code.replace("8080", str(server.port))], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert client.read_event() == {"event": "OrderPlaced", "data": '{"id":7}', "channel": "orders"}


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
    listed = re.findall(r"^- \[[^]]+\]\((\w[^)#]*)\): ", INDEX.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted({page.name for page in INDEX.parent.glob("*.md")} - {INDEX.name})


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
    targets = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text())
    found = [((page.parent / target) if target else page, anchor) for target, anchor in targets]
    assert [path for path, _ in found if not path.exists()] == []
    assert [(path, anchor) for path, anchor in found if anchor and anchor not in anchors(path)] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

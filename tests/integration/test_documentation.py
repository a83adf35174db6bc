"""What the documentation says is so: its examples run, its tables are whole."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from soundpost.broadcasting.settings import settings_from_environment
from soundpost.client import SyncClient
from soundpost.config.load import load
from soundpost.config.options import OPTIONS
from soundpost.core.app_settings import AppSettings
from soundpost.environment import APPLICATION, PUBLIC, REVERB
from support.harness import RunningServer
from support.newcomer import newcomer
from support.pages import anchors, blocks
from support.raw_socket import TIMEOUT

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs/README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("examples/*/README.md"))]


def examples(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_what_the_readme_publishes_arrives(tmp_path: Path) -> None:
    code = "\n\n".join(examples("README.md", "python"))
    with newcomer(tmp_path) as person:
        person.type("soundpost init")
        person.type("soundpost start")
        (tmp_path / "shop.py").write_text(code)
        with SyncClient(f"http://127.0.0.1:{person.realtime}", person.app()["key"]) as client:
            orders = client.subscribe("orders")
            person.type("python shop.py")
            event = orders.next(timeout=TIMEOUT)
    assert (event.name, event.data) == ("OrderPlaced", {"id": 7, "customer": "Ann"})


def test_the_home_page_begins_as_the_readme_does() -> None:
    def first(page: str) -> list[str]:
        return examples(page, "sh")[:1] + examples(page, "python")[:1] + examples(page, "js")

    assert first("docs/README.md") == first("README.md")


def test_the_configuration_example_is_valid(tmp_path: Path) -> None:
    loaded: list[AppSettings] = []
    for example in examples("docs/configuration.md", "toml"):
        (tmp_path / "soundpost.toml").write_text(example)
        environ = {"APP_SECRET": "s3cret", "WEBHOOK_TOKEN": "t0ken"}
        loaded += load(config_file=None, overrides={}, environ=environ, directory=tmp_path).settings.apps
    assert [app.id for app in loaded] == ["1", "2", "1", "1"]
    assert loaded[0].secret == "s3cret"
    assert [(entry.channels, entry.events, entry.age) for entry in loaded[2].history] == [
        (("private-orders.*", "news"), 200, 3_600),
        (("presence-*",), 100, 600),
    ]
    assert [(entry.url, entry.channels, entry.headers) for entry in loaded[3].webhooks] == [
        ("https://example.com/webhooks", ("*",), {}),
        ("http://127.0.0.1:8000/webhooks", ("presence-room.*",), {"Authorization": "Bearer t0ken"}),
    ]


def test_the_example_of_settings_is_read_by_server_and_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = examples("docs/settings-sources.md", "toml")
    (tmp_path / "soundpost.toml").write_text(example)
    (tmp_path / ".env").write_text("APP_SECRET=s3cret")
    monkeypatch.chdir(tmp_path)
    server = load(config_file=None, overrides={}, environ={}, directory=tmp_path).settings
    application = settings_from_environment()
    assert (server.server.public_url, application.browser().host) == ("https://ws.example.com", "ws.example.com")
    assert server.apps[0].secret == application.connection().secret == "s3cret"


def test_pages_name_no_unknown_variable() -> None:
    known = {*(option.variable for option in OPTIONS.values()), *APPLICATION.values(), *PUBLIC.values(), *REVERB}
    known |= {"SOUNDPOST_KEY", "SOUNDPOST_SECRET"}  # Flask's short names
    known |= {"SOUNDPOST_REDIS_URL", "REVERB_SCALING_ENABLED"}  # forms of scaling.redis
    folders = [INDEX.parent / name for name in ("cookbook", "migration", "quickstart")]
    pages = [INDEX.parent / "settings-sources.md", *(page for folder in folders for page in folder.glob("*.md"))]
    named = {name for page in pages for name in re.findall(r"`((?:SOUNDPOST|REVERB)_[A-Z_]+)`", page.read_text())}
    assert len(named) > 20
    assert sorted(named - known) == []


def test_the_code_of_the_migration_pages_runs(server: RunningServer, tmp_path: Path) -> None:
    app = {"your-app-id": "1", "your-app-key": "app-key", "your-app-secret": "app-secret", "8080": str(server.port)}
    with newcomer(tmp_path) as person, server.connect() as client:
        client.subscribe("orders")
        for page in sorted(INDEX.parent.glob("migration/*.md")):
            for code in blocks(page, "python"):
                if not code.startswith(("from", "import")):  # code of the library that is left
                    continue
                for name, value in app.items():
                    code = code.replace(name, value)
                (tmp_path / "example.py").write_text(code)
                person.type("python example.py")
        assert client.read_event()["event"] == "OrderPlaced"


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

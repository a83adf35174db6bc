"""When a dashboard is served, and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from soundpost.config.settings import DashboardSettings
from soundpost.server.dashboard.dashboard import kept_dashboard
from support.configuration import APP_TABLE, Directory
from support.dashboards import cheap_hash


@pytest.mark.parametrize(
    ("lines", "is_on"),
    [
        ("", False),
        ("host = '127.0.0.1'", False),
        ("port = 8091", True),
        ("enabled = true", True),
        ("enabled = false\nport = 8091", False),
        ("enabled = false\nhost = '0.0.0.0'", False),
        (f"port = 8091\nhost = '0.0.0.0'\npassword_hash = '{cheap_hash()}'", True),
        ("port = 8091\nhost = '::1'", True),
    ],
)
def test_a_dashboard_is_served_if_it_is_wanted(tmp_path: Path, lines: str, is_on: bool) -> None:
    directory = Directory(tmp_path).toml(f"[dashboard]\n{lines}\n{APP_TABLE}")
    assert directory.load().settings.dashboard.is_on is is_on


def test_a_dashboard_that_goes_on_takes_a_new_password_and_is_never_without() -> None:
    now = DashboardSettings(host="0.0.0.0", port=8091, password_hash=cheap_hash())
    new = cheap_hash("another horse")
    assert kept_dashboard(now, DashboardSettings(port=1, password_hash=new)) == replace(now, password_hash=new)
    assert kept_dashboard(now, DashboardSettings(enabled=True)) == now


def test_variables_and_a_file_for_the_hash(tmp_path: Path) -> None:
    directory = Directory(tmp_path).toml(APP_TABLE)
    (tmp_path / "hash").write_text(f"{cheap_hash()}\n")
    variables = {
        "SOUNDPOST_DASHBOARD_HOST": "0.0.0.0",
        "SOUNDPOST_DASHBOARD_PORT": "8091",
        "SOUNDPOST_DASHBOARD_PASSWORD_HASH_FILE": str(tmp_path / "hash"),
    }
    found = directory.load(variables).settings.dashboard
    assert (found.is_on, found.host, found.port, found.password_hash) == (True, "0.0.0.0", 8091, cheap_hash())
    assert cheap_hash() not in repr(found)


def test_the_example_of_the_documentation_switches_it_on(tmp_path: Path) -> None:
    example = Path("docs/dashboard.md").read_text().partition("```toml\n")[2].partition("```")[0]
    found = Directory(tmp_path).toml(example + APP_TABLE).load().settings.dashboard
    assert (found.is_on, found.host, found.port, found.password_hash) == (True, "127.0.0.1", 8090, None)

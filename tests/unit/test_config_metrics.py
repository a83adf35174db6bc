"""The section ``[metrics]`` of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.config.settings import MetricsSettings
from soundpost.errors import ConfigurationError
from support.configuration import APP_TABLE, Directory

TOKEN = "0123456789abcdef"


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def metrics(directory: Directory, toml: str, environ: dict[str, str] | None = None) -> MetricsSettings:
    directory.toml(f"{toml}\n{APP_TABLE}")
    return directory.load(environ).settings.metrics


def test_they_are_off_without_a_port(directory: Directory) -> None:
    assert not metrics(directory, "").is_on
    assert not metrics(directory, '[metrics]\nhost = "0.0.0.0"\n').is_on


def test_a_port_turns_them_on_for_this_machine(directory: Directory) -> None:
    found = metrics(directory, "[metrics]\nport = 9100\n")
    assert (found.is_on, found.host, found.port, found.token) == (True, "127.0.0.1", 9100, None)


def test_other_machines_need_a_token(directory: Directory) -> None:
    toml = '[metrics]\nport = 9100\nhost = "10.0.0.1"\n'
    with pytest.raises(ConfigurationError) as refused:
        metrics(directory, toml)
    assert str(refused.value).startswith("soundpost.toml: [metrics]: host=10.0.0.1: without a token metrics are for ")
    assert metrics(directory, toml, {"SOUNDPOST_METRICS_TOKEN": TOKEN}).token == TOKEN


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ("[metrics]\nport = 8080\n", "port 8080 is that of [server] and of [metrics]: give [metrics] one of its own"),
        ("[dashboard]\nport = 8080\n", "port 8080 is that of [server] and of [dashboard]: give [dashboard] one of"),
        ("[dashboard]\nport = 9100\n[metrics]\nport = 9100\n", "port 9100 is that of [dashboard] and of [metrics]"),
        ('[server]\nhost = "127.0.0.1"\nport = 9100\n[metrics]\nport = 9100\n', "is that of [server] and of [metrics]"),
    ],
)
def test_each_listener_has_a_port_of_its_own(directory: Directory, toml: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        metrics(directory, toml)
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    "toml",
    [
        '[server]\nhost = "10.0.0.5"\nport = 9100\n[metrics]\nport = 9100\n',
        '[server]\nunix_socket = "/tmp/s"\n[metrics]\nport = 8080\n',
        "[server]\nport = 0\n[metrics]\nport = 0\n[dashboard]\nport = 0\n",
    ],
)
def test_ports_that_do_not_collide_may_be_equal(directory: Directory, toml: str) -> None:
    assert metrics(directory, toml).is_on


@pytest.mark.parametrize("token", ["short", "has a space in it, so", "x" * 201])
def test_a_token_that_is_none_is_not_shown(directory: Directory, token: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        metrics(directory, f'[metrics]\nport = 9100\ntoken = "{token}"\n')
    assert "expected 16 to 200 characters of ASCII without spaces" in str(refused.value)
    assert token not in str(refused.value)


def test_the_token_is_not_in_the_text_of_the_settings() -> None:
    assert TOKEN not in repr(MetricsSettings(port=1, token=TOKEN))

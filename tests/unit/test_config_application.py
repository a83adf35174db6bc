"""Settings of an application whose framework calls a command: they win over environment and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from soundpost.broadcasting.settings import settings_from
from soundpost.config import Loaded, load
from soundpost.tools.cli.addresses import browser_address, published_address
from soundpost.tools.cli.calling_application import CallingApplication, called_by
from soundpost.tools.cli.framework_commands import application_server
from soundpost.tools.cli.target import TargetOptions, resolve

TOML = """
[server]
port = 9001

[[apps]]
id = "1"
key = "first-key"
secret = "first-secret"
max_connections = 5

[[apps]]
id = "2"
key = "second-key"
secret = "second-secret"
"""
OWN = {"app_id": "2", "key": "own-key", "secret": "own-secret", "port": 9002}


def loaded(
    directory: Path, settings: dict[str, Any], environ: dict[str, str] | None = None, port: int | None = None
) -> Loaded:
    (directory / "soundpost.toml").write_text(TOML)
    (directory / "soundpost.toml").chmod(0o600)
    server = application_server("Django", "settings.SOUNDPOST", settings_from(settings))
    return load(environ=environ or {}, directory=directory, overrides={"server.port": port}, application=server)


def test_the_app_is_the_application_s_and_other_apps_stay(tmp_path: Path) -> None:
    found = loaded(tmp_path, OWN, {"SOUNDPOST_APP_KEY": "other"})
    assert [(app.id, app.key) for app in found.settings.apps] == [("1", "first-key"), ("2", "own-key")]
    assert found.warnings == []


def test_an_app_that_the_file_does_not_have_is_served_without_a_warning(tmp_path: Path) -> None:
    found = loaded(tmp_path, {**OWN, "app_id": "3"})
    assert [app.id for app in found.settings.apps] == ["3", "2"]
    assert found.warnings == []


def test_the_port_is_the_one_to_publish_to_unless_the_server_is_told_another(tmp_path: Path) -> None:
    assert loaded(tmp_path, OWN).settings.server.port == 9002
    assert loaded(tmp_path, OWN, {"SOUNDPOST_PORT": "9009"}).settings.server.port == 9002
    told = loaded(tmp_path, OWN, {"SOUNDPOST_SERVER_PORT": "9003"})
    assert told.settings.server.port == 9003
    assert told.warnings == [
        "Django publishes to port 9002, but this server listens on 9003, so its events do not arrive: "
        "set the port in settings.SOUNDPOST, or port under [server] in soundpost.toml, to 9003, or let the server "
        "listen on 9002"
    ]
    assert len(loaded(tmp_path, OWN, port=9004).warnings) == 1
    assert loaded(tmp_path, OWN, port=0).warnings == []


@pytest.mark.parametrize("address", [{"host": "ws.example.com"}, {"scheme": "https"}])
def test_a_server_elsewhere_or_behind_a_proxy_has_a_port_of_its_own(tmp_path: Path, address: dict[str, str]) -> None:
    found = loaded(tmp_path, {**OWN, **address})
    assert found.settings.server.port == 9001
    assert found.warnings == []
    assert published_address(found).port == 9002


def test_the_public_address_is_the_application_s(tmp_path: Path) -> None:
    found = loaded(tmp_path, {**OWN, "public_url": "https://ws.example.com/live"})
    assert browser_address(found).url == "https://ws.example.com:443/live"


def test_no_connection_to_a_server_leaves_the_configuration_as_it_is(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"driver": "log"})
    assert found.settings.server.port == 9001
    assert [app.key for app in found.settings.apps] == ["first-key", "second-key"]


def test_commands_use_the_application_s_app_and_address(tmp_path: Path) -> None:
    (tmp_path / "soundpost.toml").write_text(TOML)
    server = application_server("Django", "settings.SOUNDPOST", settings_from(OWN))
    with called_by(CallingApplication(server, tmp_path)):
        target = resolve(TargetOptions(), needs=("app_id", "key", "secret"))
        named = resolve(TargetOptions(app_id="1"), needs=("app_id", "key", "secret"))
    assert (target.base_url, target.app_id, target.key, target.secret) == (
        "http://127.0.0.1:9002",
        "2",
        "own-key",
        "own-secret",
    )
    assert (named.app_id, named.key) == ("1", "first-key")

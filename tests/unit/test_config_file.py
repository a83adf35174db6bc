"""The file ``soundpost.toml``: variables in values, the file's mode, and credentials generated for one run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from soundpost.config.credentials import generate
from support.configuration import APP, APP_TABLE, Directory


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def test_a_reference_stands_for_a_variable_of_any_type(directory: Directory) -> None:
    directory.toml("[server]\nport = '${PORT}'\nhost = '${HOST:-127.0.0.1}'\npath = '/${A}-${B}'\n")
    server = directory.load({"PORT": "9000", "A": "a", "B": "b"}).settings.server
    assert (server.port, server.host, server.path) == (9000, "127.0.0.1", "/a-b")


def test_references_in_lists_and_to_dotenv(directory: Directory) -> None:
    directory.toml(APP_TABLE + "allowed_origins = ['${DOMAIN}', '*.${DOMAIN}']\n").dotenv("DOMAIN=example.com\n")
    assert directory.load().settings.apps[0].allowed_origins == ("example.com", "*.example.com")


def test_paths_may_begin_with_the_home_folder(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    directory.toml(
        "[server]\nunix_socket = '~/a'\nstate_dir = '~'\ntls = { certificate = '~/b', key = './~/c' }\n"
        "[scaling]\nca_certificate = '~/d'\ncertificate = '~/e'\nkey = '~/f'\n"
    )
    found = directory.load().settings
    server, scaling = found.server, found.scaling
    assert (server.unix_socket, server.state_dir) == ("/home/ann/a", "/home/ann")
    assert (server.tls.certificate, server.tls.key) == ("/home/ann/b", "./~/c")
    assert (scaling.ca_certificate, scaling.certificate, scaling.key) == ("/home/ann/d", "/home/ann/e", "/home/ann/f")


def test_a_doubled_dollar_is_no_reference(directory: Directory) -> None:
    directory.toml(APP_TABLE.replace("secret-1", "a$${b}c$d"))
    assert directory.load().settings.apps[0].secret == "a${b}c$d"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_secrets_that_others_can_read_are_worth_a_word(directory: Directory, mode: int) -> None:
    (warning,) = directory.toml(APP_TABLE, mode=mode).load().warnings
    assert f"(mode {mode:o})" in warning
    assert warning.endswith("chmod 600 soundpost.toml")


def test_a_file_without_secrets_may_be_read_by_all(directory: Directory) -> None:
    directory.toml("[server]\nport = 9000\n", mode=0o644)
    assert directory.load().warnings == []
    directory.toml(APP_TABLE.replace("secret-1", "${SECRET}"), mode=0o644)
    assert directory.load({"SECRET": "s"}).warnings == []


def test_a_run_without_apps_gets_credentials_every_sdk_takes(directory: Directory) -> None:
    loaded = directory.load()
    (app,) = loaded.settings.apps
    assert loaded.generated
    assert re.fullmatch(r"\d{6}", app.id)
    assert re.fullmatch(r"[a-z0-9]{20}", app.key)
    assert re.fullmatch(r"[a-z0-9]{32}", app.secret)


def test_credentials_differ_from_run_to_run() -> None:
    assert len({generate() for _ in range(100)}) == 100


def test_options_without_credentials_hold_for_the_generated_app(directory: Directory) -> None:
    loaded = directory.load({"SOUNDPOST_APP_ACTIVITY_TIMEOUT": "5"})
    assert loaded.generated
    assert loaded.settings.apps[0].activity_timeout == 5


def test_a_file_with_server_settings_only_still_generates(directory: Directory) -> None:
    assert directory.toml("[server]\nport = 9000\n").load().generated
    assert not directory.toml("[server]\nport = 9000\n").load(APP).generated

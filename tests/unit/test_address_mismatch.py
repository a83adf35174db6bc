"""Options of ``soundpost start`` that give the server another address than applications in the folder publish to."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.tools.cli.address_mismatch import address_mismatch
from support.configuration import APP, APP_TABLE, Directory

DOTENV = "".join(f"{name}={value}\n" for name, value in APP.items())


def warning(directory: Directory, **options: object) -> str | None:
    overrides = {f"server.{name}": value for name, value in options.items()}
    return address_mismatch(directory.load(overrides=overrides), directory.load)


@pytest.mark.parametrize(("server", "port"), [("", 8080), ("[server]\nport = 9000\n", 9000)])
def test_another_port_than_that_of_the_file(tmp_path: Path, server: str, port: int) -> None:
    directory = Directory(tmp_path).toml(server + APP_TABLE)
    assert warning(directory, port=8081) == (
        f"applications in this folder publish to port {port}, but this server listens on 8081, so their events do "
        "not arrive: set port in soundpost.toml to 8081, and leave --port out"
    )
    assert warning(directory, port=port) is None
    assert warning(directory) is None


def test_another_port_than_that_of_dotenv(tmp_path: Path) -> None:
    found = warning(Directory(tmp_path).dotenv(f"{DOTENV}SOUNDPOST_SERVER_PORT=9000\n"), port=8081)
    assert found is not None
    assert "publish to port 9000" in found
    assert "set SOUNDPOST_SERVER_PORT in .env to 8081" in found


def test_another_path(tmp_path: Path) -> None:
    assert warning(Directory(tmp_path).toml(APP_TABLE), path="ws") == (
        "applications in this folder publish below the path /, but this server is below /ws, so their events do "
        "not arrive: set path in soundpost.toml to /ws, and leave --path out"
    )


@pytest.mark.parametrize(
    "text",
    [
        "SOUNDPOST_PORT=9000\n",  # which has a warning of its own
        "SOUNDPOST_HOST=ws.example.com\n",
        "SOUNDPOST_SERVER_UNIX_SOCKET=/run/sp.sock\n",
    ],
)
def test_applications_that_publish_elsewhere_by_their_own_settings(tmp_path: Path, text: str) -> None:
    assert warning(Directory(tmp_path).dotenv(DOTENV + text), port=8081) is None


def test_a_folder_without_an_app(tmp_path: Path) -> None:
    assert warning(Directory(tmp_path), port=8081) is None


def test_a_folder_without_files_has_no_applications(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    loaded = directory.load(APP, overrides={"server.port": 8081})
    assert address_mismatch(loaded, lambda: directory.load(APP)) is None


def test_any_free_port_is_chosen_on_purpose(tmp_path: Path) -> None:
    assert warning(Directory(tmp_path).toml(APP_TABLE), port=0) is None


def test_a_file_that_only_options_mend_is_no_reason_to_fail(tmp_path: Path) -> None:
    directory = Directory(tmp_path).toml(APP_TABLE)
    loaded = directory.load(overrides={"server.port": 8081})
    directory.toml("not TOML")
    assert address_mismatch(loaded, directory.load) is None

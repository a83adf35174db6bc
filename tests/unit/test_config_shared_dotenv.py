"""A ``.env`` that the server and an application share: neither disowns the other's lines."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest

from soundpost.broadcasting.settings.classes import BroadcastSettings, ConnectionSettings
from soundpost.config.variables import read_variables
from support.configuration import APP, APP_TABLE, Directory

DOCS: Final = Path(__file__).parents[2] / "docs"


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def disowned(name: str) -> list[str]:
    """Return the warnings of the server about a variable, which has no value that could be wrong."""
    warnings: list[str] = []
    read_variables({name: "null"}, ".env", warnings)
    return warnings


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_no_documented_variable_is_disowned(page: Path) -> None:
    names = set(re.findall(r"\b(SOUNDPOST_[A-Z_]*[A-Z])\b", page.read_text())) - {"SOUNDPOST_APP_ALLOWED_ORIGINS"}
    assert {name: warnings for name in names if (warnings := disowned(name))} == {}


def test_no_setting_of_an_application_is_disowned() -> None:
    for settings in (BroadcastSettings, ConnectionSettings):
        for field in fields(settings):
            name = f"SOUNDPOST_{field.name.upper()}"
            assert disowned(name) == [], name


def test_any_other_name_is_a_mistake() -> None:
    assert "is not a setting of soundpost" in disowned("SOUNDPOST_URL_PREFFIX")[0]


# SOUNDPOST_URL alone


def test_the_url_of_an_application_is_an_app_of_the_server(directory: Directory) -> None:
    loaded = directory.dotenv("SOUNDPOST_URL=http://k:hush%2Fhush@127.0.0.1:9001/ws/apps/7\n").load()
    (app,) = loaded.settings.apps
    assert (app.id, app.key, app.secret) == ("7", "k", "hush/hush")
    assert not loaded.generated
    assert (loaded.settings.server.port, loaded.settings.server.path) == (9001, "/ws")
    assert loaded.warnings == []


def test_the_port_of_another_machine_is_not_the_server_s_own(directory: Directory) -> None:
    loaded = directory.load({"SOUNDPOST_URL": "https://k:s@ws.example.com/apps/7"})
    assert loaded.settings.server.port == 8080
    assert (loaded.backend.scheme, loaded.backend.host, loaded.backend.port) == ("https", "ws.example.com", 443)


def test_what_the_server_is_told_wins_over_the_url(directory: Directory) -> None:
    url = {"SOUNDPOST_URL": "http://k:s@127.0.0.1:9001/apps/7"}
    assert directory.load({**url, "SOUNDPOST_SERVER_PORT": "9002"}).settings.server.port == 9002
    assert directory.load({**url, **APP}).settings.apps[0].id == "1"
    directory.toml(APP_TABLE)
    assert directory.load(url).settings.apps[0].key == "key-1"


def test_the_environment_wins_over_the_file(directory: Directory) -> None:
    directory.dotenv("SOUNDPOST_URL=http://k:s@127.0.0.1:9001/apps/7\n")
    assert directory.load({"SOUNDPOST_URL": "http://k:s@127.0.0.1:9001/apps/8"}).settings.apps[0].id == "8"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9001/apps/7", "ftp://k:hush@h/apps/7", "http://k:hush@h/", "http://k:hush@h:99999/apps/7"]
)
def test_a_url_of_another_form_is_refused_without_its_secret(directory: Directory, url: str) -> None:
    message = directory.error({"SOUNDPOST_URL": url})
    assert message.startswith("environment: SOUNDPOST_URL: expected http://KEY:SECRET@HOST:PORT/apps/APP_ID")
    assert "hush" not in message


# Quotes


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("after", ["", "\n", "\nAPP_NAME=x\n", "\nAPP_NAME={0}Shop{0}\n", "\n\nMORE={0}a b{0} # {0}\n"])
def test_an_open_quote_is_called_by_its_name(directory: Directory, quote: str, after: str) -> None:
    begin = "SOUNDPOST_APP_ID=1\nSOUNDPOST_APP_KEY=k\n"
    directory.dotenv(f"{begin}SOUNDPOST_APP_SECRET={quote}hush{after.format(quote)}")
    assert directory.error() == (
        ".env: line 3: SOUNDPOST_APP_SECRET begins with a quote that does not end on its line: "
        "add the second quote, or remove the first"
    )


def test_an_open_quote_of_another_program_is_its_own_affair(directory: Directory) -> None:
    loaded = directory.dotenv('MOTTO="open\nSOUNDPOST_APP_ID=1\nSOUNDPOST_APP_KEY=k\nSOUNDPOST_APP_SECRET=s\n').load()
    assert loaded.settings.apps[0].id == "1"
    assert loaded.warnings == [".env: line 1 is not NAME=value; it is left out"]


def test_quotes_that_end_are_fine(directory: Directory) -> None:
    text = "SOUNDPOST_APP_ID='1'\nSOUNDPOST_APP_KEY=\"k\" # the key\nSOUNDPOST_APP_SECRET=a\"b'c\n"
    (app,) = directory.dotenv(text).load().settings.apps
    assert (app.id, app.key, app.secret) == ("1", "k", "a\"b'c")


@pytest.mark.parametrize(("app_id", "is_warned"), [("1", False), ("5", True)])
def test_a_url_of_an_app_that_the_server_does_not_have_is_warned_of(
    directory: Directory, app_id: str, is_warned: bool
) -> None:
    directory.toml(APP_TABLE).dotenv(f"SOUNDPOST_URL=http://k:hidden@127.0.0.1:7000/apps/{app_id}\n")
    warnings = directory.load().warnings
    assert any("SOUNDPOST_URL names app '5', which this server does not have" in each for each in warnings) is is_warned
    assert not any("hidden" in each for each in warnings)

"""Command line > environment > .env > soundpost.toml > defaults; in one source SOUNDPOST_ > REVERB_."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.config import ServerSettings
from support.configuration import APP, APP_TABLE, Directory


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def test_defaults_without_any_source(directory: Directory) -> None:
    loaded = directory.load()
    assert loaded.settings.server == ServerSettings(host="127.0.0.1", playground=True)
    assert loaded.sources == ()
    assert loaded.warnings == []


def test_each_source_wins_over_the_next(directory: Directory) -> None:
    directory.toml("[server]\nport = 1001\nhost = '10.0.0.1'\npath = '/toml'\nclose_timeout = 1\n" + APP_TABLE)
    directory.dotenv("SOUNDPOST_SERVER_PORT=1002\nSOUNDPOST_SERVER_HOST=10.0.0.2\nSOUNDPOST_SERVER_PATH=/dotenv\n")
    environ = {"SOUNDPOST_SERVER_PORT": "1003", "SOUNDPOST_SERVER_HOST": "10.0.0.3"}
    server = directory.load(environ, overrides={"server.port": 1004, "server.host": None}).settings.server
    assert (server.port, server.host, server.path, server.close_timeout) == (1004, "10.0.0.3", "/dotenv", 1)


def test_ours_wins_over_reverbs_in_the_same_source(directory: Directory) -> None:
    environ = {"SOUNDPOST_SERVER_PORT": "1001", "REVERB_SERVER_PORT": "1002"}
    assert directory.load(environ).settings.server.port == 1001


def test_reverbs_in_the_environment_wins_over_ours_in_dotenv(directory: Directory) -> None:
    directory.dotenv("SOUNDPOST_SERVER_PORT=1001\n")
    assert directory.load({"REVERB_SERVER_PORT": "1002"}).settings.server.port == 1002


def test_an_empty_variable_leaves_the_lower_source_in_force(directory: Directory) -> None:
    directory.toml("[server]\nport = 1001\n")
    assert directory.load({"SOUNDPOST_SERVER_PORT": ""}).settings.server.port == 1001


def test_null_unsets_what_a_lower_source_set(directory: Directory) -> None:
    directory.toml("[server]\nmax_connections = 5\n")
    assert directory.load({"SOUNDPOST_SERVER_MAX_CONNECTIONS": "null"}).settings.server.max_connections is None


def test_app_variables_apply_to_the_first_app_of_the_file(directory: Directory) -> None:
    directory.toml(APP_TABLE + APP_TABLE.replace("1", "2"))
    first, second = directory.load({"SOUNDPOST_APP_MAX_MESSAGE_SIZE": "5"}).settings.apps
    assert (first.max_message_size, second.max_message_size) == (5, 16_384)


def test_app_variables_apply_to_the_app_with_the_same_id(directory: Directory) -> None:
    directory.toml(APP_TABLE + APP_TABLE.replace("1", "2"))
    loaded = directory.load({"SOUNDPOST_APP_ID": "2", "SOUNDPOST_APP_SECRET": "other"})
    assert [(app.id, app.secret) for app in loaded.settings.apps] == [("1", "secret-1"), ("2", "other")]
    assert loaded.warnings == []


def test_another_app_id_in_the_environment_replaces_the_first_and_says_so(directory: Directory) -> None:
    directory.toml(APP_TABLE)
    loaded = directory.load({"SOUNDPOST_APP_ID": "9", "SOUNDPOST_APP_KEY": "key-9"})
    assert [(app.id, app.key) for app in loaded.settings.apps] == [("9", "key-9")]
    assert loaded.warnings == [
        "environment: SOUNDPOST_APP_ID='9' takes the place of soundpost.toml: [[apps]] no. 1: id='1'"
    ]


def test_the_id_of_no_app_in_the_file_is_an_error(directory: Directory) -> None:
    directory.toml(APP_TABLE + APP_TABLE.replace("1", "2"))
    message = "environment: SOUNDPOST_APP_ID='9': soundpost.toml has no app with the id '9'; it has 1 and 2"
    assert directory.error({"SOUNDPOST_APP_ID": "9"}) == message


def test_app_variables_make_an_app_where_the_file_has_none(directory: Directory) -> None:
    loaded = directory.load(APP)
    assert [(app.id, app.key, app.secret) for app in loaded.settings.apps] == [("1", "key-1", "secret-1")]
    assert not loaded.generated


def test_credentials_may_come_from_several_sources(directory: Directory) -> None:
    directory.toml('[[apps]]\nid = "1"\nkey = "k"\n').dotenv("SOUNDPOST_APP_SECRET=s\n")
    assert directory.load().settings.apps[0].secret == "s"


def test_the_file_named_on_the_command_line_takes_the_place_of_the_usual_one(directory: Directory) -> None:
    directory.toml("[server]\nport = 1001\n")
    other = directory.path / "other.toml"
    other.write_text("[server]\nport = 1002\n")
    loaded = directory.load(config_file=other)
    assert loaded.settings.server.port == 1002
    assert loaded.sources == (str(other),)


def test_sources_are_the_files_that_had_something_to_say(directory: Directory) -> None:
    directory.toml(APP_TABLE).dotenv("APP_NAME=Laravel\n")
    assert directory.load().sources == ("soundpost.toml",)
    directory.dotenv("REVERB_SERVER_PORT=9000\n")
    assert directory.load().sources == (".env", "soundpost.toml")


def test_a_path_prefix_has_one_slash_in_front_and_none_behind(directory: Directory) -> None:
    for written in ("ws", "/ws", "ws/", "/ws/"):
        assert directory.load(overrides={"server.path": written}).settings.server.path == "/ws"
    assert directory.load(overrides={"server.path": "/"}).settings.server.path == ""


def test_the_playground_is_on_for_generated_credentials_only_unless_said_otherwise(directory: Directory) -> None:
    assert directory.load().settings.server.playground is True
    assert directory.load(APP).settings.server.playground is False
    assert directory.load(APP, overrides={"server.playground": True}).settings.server.playground is True
    assert directory.load(overrides={"server.playground": False}).settings.server.playground is False


@pytest.mark.parametrize(
    ("host", "playground"),
    [
        (None, True),
        ("127.0.0.1", True),
        ("127.0.0.5", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("", False),
    ],
)
def test_a_first_run_is_open_to_others_only_if_told_and_then_without_the_playground(
    directory: Directory, host: str | None, playground: bool
) -> None:
    server = directory.load(overrides={"server.host": host}).settings.server
    assert (server.host, server.playground) == ("127.0.0.1" if host is None else host, playground)
    told = directory.load(overrides={"server.host": host, "server.playground": True}).settings.server
    assert told.playground is True


def test_with_an_app_of_its_own_a_server_listens_on_all_addresses(directory: Directory) -> None:
    assert directory.load(APP).settings.server.host == "0.0.0.0"

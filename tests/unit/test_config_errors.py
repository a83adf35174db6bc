"""A mistake in the configuration stops the start with one message: place, value, rule, way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.errors import ConfigurationError
from support.configuration import APP, APP_TABLE, Directory


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            APP_TABLE + APP_TABLE.replace("1", "2") + "ping_intervall = 60\n",
            "soundpost.toml: [[apps]] no. 2: unknown key 'ping_intervall'; did you mean 'ping_interval'?",
        ),
        (
            APP_TABLE + "rate_limiting = { enabledd = true }\n",
            (
                "soundpost.toml: [[apps]] no. 1: unknown key 'rate_limiting.enabledd'; "
                "did you mean 'rate_limiting.enabled'?"
            ),
        ),
        (
            APP_TABLE + "rate_limit = { enabled = true }\n",
            "soundpost.toml: [[apps]] no. 1: unknown key 'rate_limit'; did you mean 'rate_limiting'?",
        ),
        (
            APP_TABLE + "rate_limiting = true\n",
            "soundpost.toml: [[apps]] no. 1: rate_limiting is a table: write rate_limiting = { … }",
        ),
        ("[srver]\n", "soundpost.toml: unknown key 'srver'; did you mean 'server'?"),
        (
            "[colours]\n",
            "soundpost.toml: unknown key 'colours'; it has [server], [scaling], [dashboard], [metrics] and [[apps]]",
        ),
        (
            "[server]\nallowed_origins = []\n",
            "soundpost.toml: [server]: unknown key 'allowed_origins'; it belongs to [[apps]]",
        ),
        (
            "[dashboard]\nenabled = true\nhost = '0.0.0.0'\n",
            (
                "soundpost.toml: [dashboard]: host=0.0.0.0: without a password the dashboard is for this machine only, "
                "since everybody who reaches it sees all clients and can publish. Call 'soundpost dashboard "
                "password', and write the printed line below [dashboard]"
            ),
        ),
        (
            "[dashboard]\npassword_hash = 'correct horse'\n",
            "soundpost.toml: [dashboard]: password_hash: expected what 'soundpost dashboard password' prints",
        ),
        ("server = 3\n", "soundpost.toml: [server]=3: expected a table"),
        ("[apps]\n", "soundpost.toml: apps is not a list of tables: write a line [[apps]] above each app"),
        ("[server]\nport = '80'\n", "soundpost.toml: [server]: port='80': expected a whole number from 0 to 65535"),
        ("[server]\nport = 65536\n", "soundpost.toml: [server]: port=65536: expected a whole number from 0 to 65535"),
        ("[server]\npath = 'a b'\n", "soundpost.toml: [server]: path='a b': expected a path such as /ws"),
        ("[server]\nplayground = 1\n", "soundpost.toml: [server]: playground=1: expected true or false"),
        (
            "[server]\ndrain_time = 86401\n",
            "soundpost.toml: [server]: drain_time=86401: expected a whole number from 0 to 86400",
        ),
        (
            "[server]\nclose_timeout = 0\n",
            "soundpost.toml: [server]: close_timeout=0: expected a whole number of at least 1, below 2^63",
        ),
        (
            "[server]\nmax_connections = 99999999999999999999\n",
            "soundpost.toml: [server]: max_connections=99999999999999999999: expected a whole number of at least 1, "
            "below 2^63",
        ),
        (
            "[metrics]\nenabled = true\n",
            "soundpost.toml: [metrics]: unknown key 'enabled': there are metrics once 'port' is set",
        ),
        *(
            (
                f"[scaling]\n{key} = 1\n",
                f"soundpost.toml: [scaling]: unknown key '{key}': Redis has one address: "
                "redis = 'redis://user:password@host:6379/0', with TLS rediss://…",
            )
            for key in ("enabled", "host", "port", "password", "database", "url")
        ),
        (
            "[server]\nworkers = 8080\n",
            "soundpost.toml: [server]: workers=8080: expected a whole number from 1 to 1024 or 'auto'",
        ),
        (
            "[[apps]]\nid = 1\n",
            "soundpost.toml: [[apps]] no. 1: id=1: expected text that is not empty; write it in quotes",
        ),
        (
            APP_TABLE + "accept_client_events_from = 'everyone'\n",
            "soundpost.toml: [[apps]] no. 1: accept_client_events_from='everyone': expected 'members' or 'none'",
        ),
        (
            APP_TABLE + "allowed_origins = 'example.com'\n",
            "soundpost.toml: [[apps]] no. 1: allowed_origins='example.com': expected a list of text",
        ),
        (
            APP_TABLE + "allowed_origins = ['localhost:5173/app']\n",
            (
                "soundpost.toml: [[apps]] no. 1: allowed_origins: 'localhost:5173/app' would never match: an origin "
                "has no path: end it after 'localhost:5173'"
            ),
        ),
        (
            "[server]\nport = '${NO_SUCH}'\n",
            (
                "soundpost.toml: [server]: port: ${NO_SUCH} is used, but the environment variable NO_SUCH is not set: "
                "set it, or give a default as in ${NO_SUCH:-…}"
            ),
        ),
        (
            "[server]\ntls = { key = 'key.pem' }\n",
            "soundpost.toml: [server]: tls.key is set without a certificate: set tls.certificate too",
        ),
        (
            "[server]\nstate_dir = ''\n",
            "soundpost.toml: [server]: state_dir='': expected a path; without one, leave the option out",
        ),
        (
            "[server]\nstate_dir = '~nobody-of-this-name/state'\n",
            (
                "soundpost.toml: [server]: state_dir='~nobody-of-this-name/state': there is no such home folder; "
                "'./~nobody-of-this-name/state' is a file of this name"
            ),
        ),
        (
            '[server]\nunix_socket = "a\\u0000b"\n',
            "soundpost.toml: [server]: unix_socket='a\\x00b': expected a path; without one, leave the option out",
        ),
        (
            '[[apps]]\nid = "1"\n',
            "soundpost.toml: [[apps]] no. 1: key and secret are missing: every app needs id, key and secret",
        ),
        (
            APP_TABLE + '[[apps]]\nid = "2"\nkey = "key-2"\n',
            "soundpost.toml: [[apps]] no. 2: secret is missing: every app needs id, key and secret",
        ),
        (
            APP_TABLE + APP_TABLE.replace("key-1", "key-2"),
            (
                "soundpost.toml: [[apps]] no. 2: id='1' is the same as soundpost.toml: [[apps]] no. 1: id: "
                "each app needs its own"
            ),
        ),
        (
            APP_TABLE + APP_TABLE.replace('id = "1"', 'id = "2"'),
            (
                "soundpost.toml: [[apps]] no. 2: key='key-1' is the same as soundpost.toml: [[apps]] no. 1: key: "
                "each app needs its own"
            ),
        ),
    ],
)
def test_in_the_file(directory: Directory, text: str, message: str) -> None:
    assert directory.toml(text).error() == message


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"SOUNDPOST_SERVER_PORT": "80a"},
            "environment: SOUNDPOST_SERVER_PORT='80a': expected a whole number from 0 to 65535",
        ),
        (
            {"REVERB_SERVER_PORT": "eighty"},
            "environment: REVERB_SERVER_PORT='eighty': expected a whole number from 0 to 65535",
        ),
        (
            {"SOUNDPOST_APP_ENABLED": "maybe"},
            "environment: SOUNDPOST_APP_ENABLED='maybe': expected true or false",
        ),
        ({"SOUNDPOST_SCHEME": "ftp"}, "environment: SOUNDPOST_SCHEME='ftp': expected 'http' or 'https'"),
        (
            {"SOUNDPOST_APP_ID": "1"},
            (
                "environment: SOUNDPOST_APP_ID is set, but SOUNDPOST_APP_KEY and SOUNDPOST_APP_SECRET are missing: "
                "an app needs id, key and secret"
            ),
        ),
        (
            {"REVERB_APP_ID": "1", "REVERB_APP_SECRET": "s"},
            (
                "environment: REVERB_APP_ID and environment: REVERB_APP_SECRET are set, but REVERB_APP_KEY is missing: "
                "an app needs id, key and secret"
            ),
        ),
    ],
)
def test_in_the_environment(directory: Directory, environ: dict[str, str], message: str) -> None:
    assert directory.error(environ) == message


def test_on_the_command_line(directory: Directory) -> None:
    assert directory.error(overrides={"server.port": 70_000}) == (
        "command line: --port=70000: expected a whole number from 0 to 65535"
    )


def test_a_wrong_value_in_dotenv_names_file_and_variable(directory: Directory) -> None:
    assert directory.dotenv("SOUNDPOST_SERVER_PORT=x\n").error().startswith(".env: SOUNDPOST_SERVER_PORT='x': ")


def test_invalid_toml_with_line_and_column(directory: Directory) -> None:
    message = directory.toml("[server]\nport = \n").error()
    assert message == "soundpost.toml: not valid TOML: Invalid value (at line 2, column 8)"


def test_a_file_that_is_not_utf8_with_its_line(directory: Directory) -> None:
    (directory.path / "soundpost.toml").write_bytes(b"[server]\n# caf\xe9\n")
    assert directory.error() == "soundpost.toml: not UTF-8 (line 2): TOML must be"


def test_a_named_file_that_is_not_there(directory: Directory) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: there is no such file"):
        directory.load(config_file=directory.path / "none.toml")


@pytest.mark.parametrize("text", ["[[apps]]\nsecret = 123456\n", "[[apps]]\nsecret = ['hush-hush']\n"])
def test_a_secrets_value_is_never_shown(directory: Directory, text: str) -> None:
    message = directory.toml(text).error()
    assert message.startswith("soundpost.toml: [[apps]] no. 1: secret: expected text")
    assert "123456" not in message
    assert "hush" not in message


def test_a_long_path_is_refused_at_once(directory: Directory) -> None:
    """The pattern must not backtrack for ages over a prefix that almost fits."""
    assert "expected a path such as /ws" in directory.error({"SOUNDPOST_SERVER_PATH": "a" * 5_000 + "!"})


def test_an_id_that_is_no_number_is_worth_a_word(directory: Directory) -> None:
    (warning,) = directory.load({**APP, "SOUNDPOST_APP_ID": "shop"}).warnings
    assert warning == (
        "environment: SOUNDPOST_APP_ID='shop': official Pusher SDKs want an app id of digits, such as 123456"
    )

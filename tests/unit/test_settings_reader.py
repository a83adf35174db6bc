"""Variables and addresses as people write them: server and application read them alike, and nothing raw escapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.asgi import App as Embedded
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from, settings_from_environment
from soundpost.client.address import socket_url
from soundpost.config.options import OPTIONS
from soundpost.environment import APPLICATION, PUBLIC, REVERB, names_of, value_of
from soundpost.errors import ConfigurationError, SoundpostError
from soundpost.pusher.options import connection_settings, options_from_url
from soundpost.tools.doctor.base_url import parse_base_url
from support.configuration import APP, Directory


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


LIBRARY = {
    "SOUNDPOST_APP_ID": "app_id",
    "SOUNDPOST_APP_KEY": "key",
    "SOUNDPOST_APP_SECRET": "secret",
    "SOUNDPOST_HOST": "host",
    "SOUNDPOST_PORT": "port",
    "SOUNDPOST_SCHEME": "scheme",
    "SOUNDPOST_PATH": "path",
}
SERVER = {"SOUNDPOST_HOST": "host", "SOUNDPOST_PORT": "port", "SOUNDPOST_SCHEME": "scheme", "SOUNDPOST_PATH": "path"}
DEFAULTS = {"host": "127.0.0.1", "port": 8080, "scheme": "http", "path": "", "app_id": "1", "key": "key-1"}


def in_application(environ: dict[str, str], option: str) -> Any:
    return getattr(settings_from_environment({**APP, **environ}).connection(), option)


def in_server(directory: Directory, environ: dict[str, str], option: str) -> Any:
    return getattr(directory.load({**APP, **environ}).backend, option)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SOUNDPOST_HOST", '"ws.example.com"', "ws.example.com"),
        ("SOUNDPOST_HOST", "'ws.example.com'", "ws.example.com"),
        ("SOUNDPOST_HOST", " ws.example.com ", "ws.example.com"),
        ("SOUNDPOST_HOST", "[::1]", "::1"),
        ("SOUNDPOST_HOST", "::1", "::1"),
        ("SOUNDPOST_PORT", '"8443"', 8443),
        ("SOUNDPOST_PORT", " 8443 ", 8443),
        ("SOUNDPOST_SCHEME", '"https"', "https"),
        ("SOUNDPOST_PATH", '"/ws"', "/ws"),
        ("SOUNDPOST_PATH", "ws/", "/ws"),
    ],
)
def test_server_and_application_read_alike(directory: Directory, name: str, text: str, value: Any) -> None:
    assert in_application({name: text}, LIBRARY[name]) == value
    assert in_server(directory, {name: text}, SERVER[name]) == value


@pytest.mark.parametrize("name", SERVER)
@pytest.mark.parametrize("text", ["", " ", "null", "(null)", "NULL", '"null"', "''", "empty", "(empty)"])
def test_what_says_nothing_is_not_set_in_either(directory: Directory, name: str, text: str) -> None:
    assert in_application({name: text}, LIBRARY[name]) == DEFAULTS[LIBRARY[name]]
    assert in_server(directory, {name: text}, SERVER[name]) in (None, "")


@pytest.mark.parametrize("prefix", ["SOUNDPOST", "REVERB"])
@pytest.mark.parametrize("text", ["tcp://10.0.0.1:8080", "udp://10.0.0.1:53", '"tcp://10.0.0.1:8080"', "TCP://[::1]:1"])
def test_what_kubernetes_says_of_a_service_is_no_setting_in_either(
    directory: Directory, prefix: str, text: str
) -> None:
    links = {
        f"{prefix}_PORT": text,
        f"{prefix}_SERVICE_HOST": "10.0.0.1",
        f"{prefix}_SERVICE_PORT": "8080",
        f"{prefix}_SERVICE_PORT_HTTP": "8080",
        f"{prefix}_PORT_8080_TCP": text,
        f"{prefix}_PORT_8080_TCP_ADDR": "10.0.0.1",
        f"{prefix}_SERVER_PORT": text,
        f"{prefix}_SERVER_SERVICE_HOST": "10.0.0.1",
        f"{prefix}_APP_PORT_8080_TCP_PROTO": "tcp",
        f"{prefix}_PUBLIC_SERVICE_PORT": "8080",
    }
    if prefix == "SOUNDPOST":
        links["SOUNDPOST_PUBLIC_PORT"] = text
    loaded = directory.load({**APP, **links})
    assert (loaded.backend.port, loaded.settings.server.port) == (None, 8080)
    settings = settings_from_environment({**APP, **links})
    assert (settings.connection().port, settings.public.port) == (8080, None)


def test_quotes_and_nulls_of_credentials(directory: Directory) -> None:
    quoted = {name: f'"{value}"' for name, value in APP.items()}
    app = directory.load(quoted).settings.apps[0]
    connection = settings_from_environment(quoted).connection()
    assert (app.id, app.key, app.secret) == (connection.app_id, connection.key, connection.secret)
    assert settings_from_environment(dict.fromkeys(APP, "null")).connections == {}


def test_files_are_read_alike(directory: Directory, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    environ = {**APP, "SOUNDPOST_APP_SECRET": "", "SOUNDPOST_APP_SECRET_FILE": f'"{file}"'}
    both = {**environ, "SOUNDPOST_APP_SECRET": "s"}
    for content, reason in (
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"\xff", "it is not text"),
        (b"s" * 100_001, "more than"),
    ):
        if content is not None:
            file.write_bytes(content)
        assert reason in directory.error(environ)
        with pytest.raises(ConfigurationError, match=reason):
            settings_from_environment(environ)
    file.write_text('"null"\n')
    assert directory.load(environ).settings.apps[0].secret == '"null"'
    assert settings_from_environment(environ).connection().secret == '"null"'
    assert "keep one of them" in directory.error(both)
    with pytest.raises(ConfigurationError, match="keep one of them"):
        settings_from_environment(both)


@pytest.mark.parametrize("name", [*APPLICATION.values(), *PUBLIC.values()])
def test_the_server_takes_no_variable_of_an_application_for_a_mistake(directory: Directory, name: str) -> None:
    texts = {
        "PORT": "443",
        "SCHEME": "https",
        "SIZE": "5",
        "LENGTH": "5",
        "ORIGINS": "https://example.com",
        "URL": "https://example.com",
    }
    loaded = directory.load({**APP, name: texts.get(name.rpartition("_")[2], "x")})
    assert not [warning for warning in loaded.warnings if "is not a setting" in warning]


def test_reverbs_names_are_those_of_settings() -> None:
    ours = {option.variable for option in OPTIONS.values()}
    assert {variable for replaced_by in REVERB.values() for variable in replaced_by} <= ours
    assert names_of("SOUNDPOST_HOST") == ("SOUNDPOST_HOST", "REVERB_HOST")
    assert names_of("SOUNDPOST_PATH") == ("SOUNDPOST_PATH",)


HOSTS = [
    ("127.0.0.1:8080", "write '127.0.0.1', and '8080' as the port"),
    ("ws.example.com:80a80", "write 'ws.example.com', and '80a80' as the port"),
    ("[::1]:8080", "write '[::1]', and '8080' as the port"),
    ("http://127.0.0.1", "without scheme, port or path"),
    ("//127.0.0.1", "without scheme, port or path"),
    ("127.0.0.1/ws", "without scheme, port or path"),
    ("127.0.0.1?x", "without scheme, port or path"),
    ("127.0.0.1#x", "without scheme, port or path"),
    ("ann:geheim@example.com", "leave out user name and password"),
    ("exa mple.com", "without scheme, port or path"),
    ("example.com\x00", "without scheme, port or path"),
    ("exam\rple.com", "without scheme, port or path"),
    ("[::1", "IPv6"),
    ("::1]", "IPv6"),
    ("[127.0.0.1]", "IPv6"),
    ("1:2:3", "IPv6"),
    ("a..b", "1 to 63 characters"),
    ("a" * 64 + ".example", "1 to 63 characters"),
    ("*", "without scheme, port or path"),
    ("%", "without scheme, port or path"),
]


@pytest.mark.parametrize(("host", "reason"), HOSTS)
def test_what_is_no_host_is_refused_everywhere_with_the_way_out(directory: Directory, host: str, reason: str) -> None:
    places: list[Callable[[], Any]] = [
        lambda: settings_from({**CREDENTIALS, "host": host}),
        lambda: settings_from({**CREDENTIALS, "public": {"host": host}}),
        lambda: settings_from_environment({**APP, "SOUNDPOST_HOST": host}),
        lambda: settings_from_environment({**APP, "SOUNDPOST_PUBLIC_HOST": host}),
        lambda: settings_from_environment({**APP, "REVERB_HOST": host}),
        lambda: directory.load({**APP, "SOUNDPOST_HOST": host}),
        lambda: directory.load({**APP, "SOUNDPOST_SERVER_HOST": host}),
        lambda: directory.load({**APP, "SOUNDPOST_SERVER_HOSTNAME": host}),
        lambda: directory.load({**APP, "REVERB_SERVER_HOST": host}),
        lambda: directory.load(APP, overrides={"server.host": host}),
    ]
    for configure in places:
        with pytest.raises(ConfigurationError) as caught:
            configure()
        assert reason in str(caught.value)
        assert "host" in str(caught.value).lower()
        assert "geheim" not in str(caught.value)
    with pytest.raises(ValueError, match=r".*"):
        pusher(host=host)


CREDENTIALS = {"app_id": "1", "key": "k", "secret": "geheim"}


def pusher(**more: Any) -> Any:
    options: dict[str, Any] = {
        "ssl": False,
        "host": None,
        "port": None,
        "path": "",
        "timeout": 5,
        "cluster": None,
        "encryption_master_key": None,
        "encryption_master_key_base64": None,
        "verify": True,
    }
    return connection_settings("1", more.pop("key", "k"), "s", **{**options, **more})


PORTS: list[Any] = [
    0,
    -1,
    65536,
    10**30,
    True,
    80.0,
    80.5,
    float("nan"),
    "",
    "http",
    "80a80",
    "8 0",
    "+80",
    "8_0",
    "0x50",
]
PORTS += ["80.0", "８０", "٨٠", "1" * 5000, "-1", b"80", [80], {}, object()]


@pytest.mark.parametrize("port", PORTS, ids=lambda port: repr(port)[:20])
def test_what_is_no_port_is_refused_everywhere(directory: Directory, port: Any) -> None:
    for wrong in ({"port": port}, {"public": {"port": port}}):
        with pytest.raises(ConfigurationError, match="port"):
            settings_from({**CREDENTIALS, **wrong})
    if isinstance(port, str) and port:
        for name in ("SOUNDPOST_PORT", "REVERB_PORT", "SOUNDPOST_PUBLIC_PORT"):
            with pytest.raises(ConfigurationError, match="port"):
                settings_from_environment({**APP, name: port})
        if port not in ("0",):
            for name in ("SOUNDPOST_PORT", "SOUNDPOST_SERVER_PORT", "REVERB_SERVER_PORT"):
                assert "expected a whole number from 0 to 65535" in directory.error({**APP, name: port})


EXPECTED = r"'url': expected http://KEY:SECRET@HOST:PORT/apps/APP_ID"
URLS = [
    "http://k:geheim@127.0.0.1:80a80/apps/1",
    "http://k:geheim@127.0.0.1:８０/apps/1",
    "http://k:geheim@127.0.0.1:99999/apps/1",
    "http://k:geheim@127.0.0.1:0/apps/1",
    "http://k:geheim@127.0.0.1:/apps/1",
    "http://k:geheim@[::1/apps/1",
    "http://k:geheim@[127.0.0.1]:80/apps/1",
    "http://k:geheim@::1/apps/1",
    "http://k:ge/heim@127.0.0.1/apps/1",
    "http://k:ge#heim@127.0.0.1/apps/1",
    "http://k:ge?heim@127.0.0.1/apps/1",
    "http://k:geheim@ex ample/apps/1",
    "http://k:geheim@a..b/apps/1",
    "http://k:geheim@/apps/1",
    "http://geheim/apps/1",
    "ftp://k:geheim@h/apps/1",
    "geheim",
    "http://",
    "http://k:geheim@h/apps/1?x=y",
    "http://k:geheim@h/apps/1#x",
]


@pytest.mark.parametrize("url", URLS)
def test_what_is_no_url_is_refused_without_showing_it(url: str) -> None:
    places: list[Callable[[], Any]] = [
        lambda: settings_from({"url": url}),
        lambda: settings_from_environment({"SOUNDPOST_URL": url}),
    ]
    for configure in places:
        with pytest.raises(
            ConfigurationError, match=r"'url': expected http://KEY:SECRET@HOST:PORT/apps/APP_ID"
        ) as caught:
            configure()
        assert "heim" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


SHORT = st.text(max_size=9)
URL_LIKE = st.builds("{}://{}:{}/{}".format, st.sampled_from(["http", "ws", "x"]), SHORT, SHORT, SHORT)


def client_url(url: str) -> str:
    return socket_url(url, "k")


@pytest.mark.parametrize("read", [options_from_url, parse_base_url, client_url])
@given(url=st.text(max_size=30) | URL_LIKE)
def test_no_url_raises_what_nobody_expects(read: Callable[[str], Any], url: str) -> None:
    try:
        read(url)
    except (SoundpostError, ValueError) as error:
        assert type(error) is not ValueError or "the form" in str(error)  # noqa: PT017


WRONG: list[tuple[str, Any]] = [
    ("timeout", float("nan")),
    ("timeout", float("inf")),
    ("timeout", True),
    ("timeout", "3"),
    ("timeout", None.__class__),
    ("timeout", 10**400),
    ("connect_timeout", -0.0),
    ("connect_timeout", b"1"),
    ("max_batch_size", 0),
    ("max_batch_size", "10"),
    ("max_batch_size", 2.5),
    ("max_batch_size", True),
    ("verify", 7),
    ("verify", ""),
    ("verify", []),
    ("path", "/w s"),
    ("path", "/ws?x"),
    ("path", "/ws\n"),
    ("path", "/ws/../x"),
    ("path", "/é"),
    ("path", 7),
    ("host", 7),
    ("host", b"example.com"),
    ("scheme", "HTTPS://"),
    ("scheme", 7),
    ("driver", 7),
    ("driver", b"log"),
    ("key", b"k"),
    ("key", ["k"]),
    ("secret", b"geheim"),
    ("secret", {"geheim": 1}),
    ("app_id", 1.5),
    ("app_id", True),
    ("url", 7),
    ("url", b"http://k:geheim@h/apps/1"),
    ("encryption_master_key", b"geheim"),
    ("encryption_master_key", "geheim"),
    ("deliver", 7),
    ("deliver", None),
    ("on_error", None),
    ("on_error", ["log"]),
    ("queue", 7),
    ("notification_channel", 7),
    ("default", 7),
    ("default", None),
    ("public", 7),
    ("public", "ws.example.com"),
    ("public", ["host"]),
    ("after_commit", []),
    ("debug", None),
    ("trusted_origins", 7),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda each: repr(each)[:30])
def test_no_wrong_value_of_an_application_raises_what_nobody_expects(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_from({name: value} if name == "url" else {**CREDENTIALS, name: value})
    assert name.replace("_", " ") in str(caught.value).replace("_", " ")
    assert "geheim" not in str(caught.value)


SHAPES: list[Any] = [7, "url", ["a"], None, {"connections": 7}, {"connections": ["a"]}, {"connections": {"a": "b"}}]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_wrong_shape_raises_what_nobody_expects(shape: Any) -> None:
    with pytest.raises(ConfigurationError, match="should be a dictionary of settings"):
        settings_from(shape)


VARIABLES = [
    *LIBRARY,
    "SOUNDPOST_URL",
    "SOUNDPOST_PUBLIC_HOST",
    "SOUNDPOST_PUBLIC_PORT",
    "SOUNDPOST_PUBLIC_PATH",
    "SOUNDPOST_DELIVER",
    "SOUNDPOST_ON_ERROR",
    "SOUNDPOST_TRUSTED_ORIGINS",
    "SOUNDPOST_ENCRYPTION_MASTER_KEY",
    "SOUNDPOST_BROADCAST_DRIVER",
]


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(max_size=20), max_size=4))
def test_whatever_is_in_the_environment_settings_or_a_configuration_error_come(environ: dict[str, str]) -> None:
    try:
        settings = settings_from_environment(environ)
    except ConfigurationError:
        return
    if settings.connections:
        assert settings.connection().base_url
        assert settings.browser().base_url


@given(st.text(), st.sampled_from(["SOUNDPOST_PORT", "SOUNDPOST_HOST"]))
def test_reading_a_variable_never_fails(text: str, name: str) -> None:
    value = value_of({name: text}, name)
    assert value == value.strip() or text.strip()[0] in "\"'"


IDENTIFIERS = ["a?b", "a#b", "a%b", "a%20b", "a/b", "a b", "a\tb", "a\\b", "a&b", "a+b", "a:b", "é", "a\x00", 'a"b']
IDENTIFIERS += ["<k>", "[k]", "{k}", "a^b", "a|b", "`k`", ".", ".."]


@pytest.mark.parametrize("text", IDENTIFIERS)
def test_keys_and_ids_that_cannot_stand_in_addresses_are_refused(directory: Directory, text: str) -> None:
    for name in ("id", "key"):
        table = {"id": "1", "key": "k", "secret": "geheim", name: text}
        lines = "".join(f"{each} = {_toml(value)}\n" for each, value in table.items())
        if text.isprintable():
            error = directory.toml("[[apps]]\n" + lines).error()
            assert error.startswith(f"soundpost.toml: [[apps]] no. 1: {name}={text!r}: ")
            assert "choose another" in error.lower()
        with pytest.raises(ConfigurationError, match=name):
            Embedded(apps=[table])
    (directory.path / "soundpost.toml").unlink(missing_ok=True)
    for name in ("SOUNDPOST_APP_ID", "SOUNDPOST_APP_KEY"):
        if text.strip() == text:
            assert name in directory.error({**APP, name: text})
    with pytest.raises(ConfigurationError, match="key"):
        settings_from({**CREDENTIALS, "key": text})
    with pytest.raises(ValueError, match="key"):
        pusher(key=text)


def _toml(text: str) -> str:
    return "'" + text + "'" if "'" not in text else '"' + text + '"'


@pytest.mark.parametrize("text", ["278d425bdf160c739803", "app-key", "a.b_c~d", "Ab9", "a=b", "k,1;2", "me@home", "$k"])
def test_other_keys_are_taken(directory: Directory, text: str) -> None:
    assert directory.load({**APP, "SOUNDPOST_APP_KEY": text}).settings.apps[0].key == text
    assert settings_from({**CREDENTIALS, "key": text}).connection().key == text


@pytest.mark.parametrize(
    ("settings", "channel"),
    [
        ({"app_id": "1"}, "orders"),
        ({**CREDENTIALS, "driver": "no.such.module:Driver"}, "orders"),
        ({**CREDENTIALS, "deliver": "no.such.module:Delivery"}, "orders"),
        (CREDENTIALS, "private-encrypted-orders"),
    ],
)
async def test_where_errors_are_logged_a_wrong_setting_ends_no_request(
    settings: dict[str, Any], channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    broadcaster = Broadcaster()
    broadcaster.configure({**settings, "on_error": "log"})
    broadcaster.publish(channel, "e")
    await broadcaster.apublish(channel, "e")
    assert [record.getMessage()[:10] for record in caplog.records] == ["not sent: "] * 2
    broadcaster.configure(settings)
    with pytest.raises(ConfigurationError):
        broadcaster.publish(channel, "e")
    with pytest.raises(ConfigurationError):
        await broadcaster.apublish(channel, "e")

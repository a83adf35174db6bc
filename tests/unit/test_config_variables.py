"""Environment variables and ``.env`` files: Soundpost's, Reverb's, and those of a whole Laravel project."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.config import BackendAddress, TlsSettings
from soundpost.config.options import OPTIONS
from soundpost.core.app_settings import RateLimiting
from soundpost.errors import ConfigurationError
from support.configuration import APP, Directory

LARAVEL = """\
APP_NAME=Laravel
APP_KEY=base64:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG=
APP_DEBUG=true
DB_PASSWORD='p"a${NOT_SET}ss'
MAIL_FROM_NAME="${APP_NAME}"
LOG_STACK=single # a comment
this line is broken
PUSHER_APP_ID=
BROADCAST_CONNECTION=reverb

REVERB_APP_ID=748201
REVERB_APP_KEY="laravel-key"
REVERB_APP_SECRET='laravel-secret'
REVERB_HOST="localhost"
REVERB_PORT=8080
REVERB_SCHEME=http
REVERB_SERVER_PORT=8080
REVERB_PULSE_INGEST_INTERVAL=15

VITE_REVERB_APP_KEY="${REVERB_APP_KEY}"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def test_every_option_has_a_variable_named_after_its_keys() -> None:
    names = {option.variable for option in OPTIONS.values()}
    assert {
        "SOUNDPOST_SERVER_PORT",
        "SOUNDPOST_SERVER_TLS_CERTIFICATE",
        "SOUNDPOST_SERVER_TLS_KEY",
        "SOUNDPOST_SERVER_TLS_PASSPHRASE",
        "SOUNDPOST_APP_ID",
        "SOUNDPOST_APP_RATE_LIMITING_ENABLED",
        "SOUNDPOST_APP_ALLOWED_ORIGINS",
        "SOUNDPOST_HOST",
    } <= names
    assert len(names) == len(OPTIONS)


def test_values_of_all_kinds(directory: Directory) -> None:
    environ = {
        **APP,
        "SOUNDPOST_SERVER_TLS_CERTIFICATE": "/etc/cert.pem",
        "SOUNDPOST_SERVER_TLS_KEY": "/etc/key.pem",
        "SOUNDPOST_SERVER_PLAYGROUND": "on",
        "SOUNDPOST_APP_ALLOWED_ORIGINS": "example.com, https://example.org:8443 ,",
        "SOUNDPOST_APP_MAX_CONNECTIONS": " 12 ",
        "SOUNDPOST_APP_SUBSCRIPTION_COUNT": "(true)",
        "SOUNDPOST_APP_RATE_LIMITING_ENABLED": "1",
        "SOUNDPOST_APP_RATE_LIMITING_MAX_ATTEMPTS": "7",
    }
    settings = directory.load(environ).settings
    assert settings.server.tls == TlsSettings(certificate="/etc/cert.pem", key="/etc/key.pem")
    assert settings.server.playground is True
    app = settings.apps[0]
    assert app.allowed_origins == ("example.com", "https://example.org:8443")
    assert app.max_connections == 12
    assert app.subscription_count is True
    assert app.rate_limiting == RateLimiting(enabled=True, max_attempts=7)


def test_quotes_that_docker_leaves_around_a_value_are_not_part_of_it(directory: Directory) -> None:
    assert directory.load({**APP, "SOUNDPOST_APP_KEY": '"quoted"'}).settings.apps[0].key == "quoted"


def test_a_laravel_project_serves_its_reverb_credentials(directory: Directory) -> None:
    loaded = directory.dotenv(LARAVEL).load()
    app = loaded.settings.apps[0]
    assert (app.id, app.key, app.secret) == ("748201", "laravel-key", "laravel-secret")
    assert loaded.settings.server.hostname == "localhost"
    assert loaded.backend == BackendAddress(host="localhost", port=8080, scheme="http")
    assert loaded.sources == (".env",)
    assert not loaded.generated
    assert loaded.warnings == [".env: line 7 is not NAME=value; it is left out"]


def test_all_of_reverbs_names(directory: Directory) -> None:
    loaded = directory.load(
        {
            "REVERB_APP_ID": "1",
            "REVERB_APP_KEY": "k",
            "REVERB_APP_SECRET": "s",
            "REVERB_SERVER_HOST": "127.0.0.1",
            "REVERB_SERVER_PORT": "6001",
            "REVERB_SERVER_PATH": "ws",
            "REVERB_HOST": "ws.example.com",
            "REVERB_PORT": "443",
            "REVERB_SCHEME": "https",
            "REVERB_MAX_REQUEST_SIZE": "10000",
            "REVERB_ALLOWED_ORIGINS": "example.com",
            "REVERB_APP_MAX_MESSAGE_SIZE": "500",
            "REVERB_APP_PING_INTERVAL": "20",
            "REVERB_APP_ACTIVITY_TIMEOUT": "25",
            "REVERB_APP_MAX_CONNECTIONS": "100",
            "REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM": "none",
            "REVERB_APP_RATE_LIMITING_ENABLED": "true",
            "REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS": "3",
            "REVERB_APP_RATE_LIMIT_DECAY_SECONDS": "4",
            "REVERB_APP_RATE_LIMIT_TERMINATE": "true",
        }
    )
    server, app = loaded.settings.server, loaded.settings.apps[0]
    assert (server.host, server.port, server.path, server.hostname) == ("127.0.0.1", 6001, "/ws", "ws.example.com")
    assert server.max_request_size == 10_000
    assert loaded.backend == BackendAddress(host="ws.example.com", port=443, scheme="https")
    assert (app.id, app.key, app.secret, app.allowed_origins) == ("1", "k", "s", ("example.com",))
    assert (app.max_message_size, app.ping_interval, app.activity_timeout, app.max_connections) == (500, 20, 25, 100)
    assert app.accept_client_events_from == "none"
    assert app.rate_limiting == RateLimiting(enabled=True, max_attempts=3, decay_seconds=4, terminate_on_limit=True)
    assert loaded.warnings == []


@pytest.mark.parametrize("empty", ["", "null", "(null)", '""'])
def test_empty_reverb_credentials_are_unset(directory: Directory, empty: str) -> None:
    loaded = directory.load({"REVERB_APP_ID": empty, "REVERB_APP_KEY": empty, "REVERB_APP_SECRET": empty})
    assert loaded.generated


def test_events_from_all_become_events_from_members_with_the_reason(directory: Directory) -> None:
    loaded = directory.load({**APP, "REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM": "all"})
    assert loaded.settings.apps[0].accept_client_events_from == "members"
    (warning,) = loaded.warnings
    assert warning.startswith("environment: REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM='all' is taken as 'members'")
    assert "private channels" in warning


@pytest.mark.parametrize(
    ("lines", "url"),
    [
        ("REVERB_SCALING_ENABLED=false\nREDIS_HOST=10.0.0.5", None),
        ("REDIS_HOST=10.0.0.5", None),
        ("REVERB_SCALING_ENABLED=true", "redis://127.0.0.1:6379/0"),
        (
            "REVERB_SCALING_ENABLED=true\nREDIS_HOST=r\nREDIS_PORT=6380\nREDIS_PASSWORD=null\nREDIS_DB=2",
            "redis://r:6380/2",
        ),
        ('REVERB_SCALING_ENABLED=true\nREDIS_PASSWORD="p@ss/w"', "redis://:p%40ss%2Fw@127.0.0.1:6379/0"),
        ("REVERB_SCALING_ENABLED=true\nREDIS_USERNAME=u\nREDIS_PASSWORD=p", "redis://u:p@127.0.0.1:6379/0"),
        ("REVERB_SCALING_ENABLED=true\nREDIS_HOST=tls://r", "rediss://r:6379/0"),
        ("REVERB_SCALING_ENABLED=true\nREDIS_HOST=tcp://r", "redis://r:6379/0"),
        ("REVERB_SCALING_ENABLED=true\nREDIS_URL=rediss://r:1/3", "rediss://r:1/3"),
        ("REVERB_SCALING_ENABLED=true\nREDIS_URL=tls://u:p@r:1?database=3", "tls://u:p@r:1?database=3"),
        ("REVERB_SCALING_ENABLED=true\nSOUNDPOST_REDIS_URL=redis://ours", "redis://ours"),
        ("SOUNDPOST_REDIS_URL=redis://ours", "redis://ours"),
    ],
)
def test_where_redis_is(directory: Directory, lines: str, url: str | None) -> None:
    loaded = directory.dotenv(lines + "\n").load(APP)
    assert loaded.settings.scaling.redis == url
    assert loaded.warnings == []


def test_a_wrong_redis_url_is_told_without_its_password(directory: Directory) -> None:
    with pytest.raises(ConfigurationError) as raised:
        directory.load({**APP, "SOUNDPOST_REDIS_URL": "http://:pass@r"})
    assert "SOUNDPOST_REDIS_URL: expected a URL such as redis://127.0.0.1:6379/0" in str(raised.value)
    assert "pass" not in str(raised.value)


@pytest.mark.parametrize("url", ["redis://:pass@r", "redis://:pa/ss@r", "redis://r?password=pass"])
def test_a_password_on_the_command_line_is_seen_by_everybody(directory: Directory, url: str) -> None:
    loaded = directory.load(APP, overrides={"scaling.redis": url})
    (warning,) = loaded.warnings
    assert "--redis has a password, which everybody on this machine sees" in warning
    assert "SOUNDPOST_SCALING_REDIS_FILE" in warning
    assert not any(part in warning for part in ("pass@", ":pa", "=pass"))
    assert loaded.settings.scaling.redis == url


def test_a_url_without_a_password_may_stand_there(directory: Directory) -> None:
    assert directory.load(APP, overrides={"scaling.redis": "redis://10.0.0.5:6379/1"}).warnings == []
    assert directory.load({**APP, "SOUNDPOST_REDIS_URL": "redis://:pass@r"}).warnings == []


def test_a_public_port_on_this_machine_that_nobody_listens_on_is_worth_a_word(directory: Directory) -> None:
    (warning,) = directory.load({**APP, "SOUNDPOST_HOST": "localhost", "SOUNDPOST_PORT": "9000"}).warnings
    assert "SOUNDPOST_SERVER_PORT" in warning
    behind_proxy = {**APP, "SOUNDPOST_HOST": "ws.example.com", "SOUNDPOST_PORT": "443"}
    assert directory.load(behind_proxy).warnings == []


def test_secrets_from_files(directory: Directory) -> None:
    file = directory.path / "secret"
    file.write_text("from-file\n")
    environ = {"SOUNDPOST_APP_ID": "1", "SOUNDPOST_APP_KEY_FILE": str(file), "SOUNDPOST_APP_SECRET_FILE": str(file)}
    app = directory.load(environ).settings.apps[0]
    assert (app.key, app.secret) == ("from-file", "from-file")


def test_a_secrets_file_that_cannot_be_read_is_named(directory: Directory) -> None:
    message = directory.error({"SOUNDPOST_APP_SECRET_FILE": "/run/secrets/none"})
    assert message.startswith("environment: SOUNDPOST_APP_SECRET_FILE='/run/secrets/none': the file cannot be read")


def test_a_secret_and_its_file_contradict_each_other(directory: Directory) -> None:
    message = directory.error({**APP, "SOUNDPOST_APP_SECRET_FILE": "/run/secrets/secret"})
    assert message == ("environment: both SOUNDPOST_APP_SECRET and SOUNDPOST_APP_SECRET_FILE are set: keep one of them")


def test_an_empty_secrets_file_is_refused(directory: Directory) -> None:
    (directory.path / "empty").write_text("\n")
    assert "the file is empty" in directory.error({"SOUNDPOST_APP_KEY_FILE": str(directory.path / "empty")})


@pytest.mark.parametrize("name", ["SOUNDPOST_APP_SECRET", "SOUNDPOST_LOG_LEVEL", "SOUNDPOST_ACCESS_LOG"])
def test_a_variable_in_another_encoding_is_refused(directory: Directory, name: str) -> None:
    """Python reads a byte that is not UTF-8 as half of a surrogate pair."""
    value = b"p\xe4ssword".decode(errors="surrogateescape")
    assert directory.error({**APP, name: value}) == f"environment: {name}: the value is not UTF-8 text"


def test_a_path_in_another_encoding_is_a_path(directory: Directory) -> None:
    path = b"/run/s\xe4ge.sock".decode(errors="surrogateescape")
    assert directory.load({**APP, "SOUNDPOST_SERVER_UNIX_SOCKET": path}).settings.server.unix_socket == path


def test_references_in_dotenv_prefer_the_environment(directory: Directory) -> None:
    directory.dotenv("BASE=1001\nSOUNDPOST_SERVER_PORT=${BASE}\n")
    assert directory.load().settings.server.port == 1001
    assert directory.load({"BASE": "1002"}).settings.server.port == 1002


def test_variables_of_a_kubernetes_service_of_our_name_are_left_alone(directory: Directory) -> None:
    links = {
        "SOUNDPOST_SERVICE_HOST": "10.0.0.1",
        "SOUNDPOST_SERVICE_PORT_HTTP": "8080",
        "SOUNDPOST_PORT_8080_TCP_ADDR": "10.0.0.1",
        "SOUNDPOST_SERVER_SERVICE_HOST": "10.0.0.1",
        "SOUNDPOST_SERVER_PORT": "tcp://10.0.0.1:8080",
        "REVERB_PORT": "tcp://10.0.0.2:80",
    }
    loaded = directory.load({**APP, **links})
    assert loaded.settings.server.port == 8080
    assert loaded.backend == BackendAddress()
    assert [warning.split("=")[0] for warning in loaded.warnings] == [
        "environment: SOUNDPOST_SERVER_PORT",
        "environment: REVERB_PORT",
    ]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SOUNDPOST_SERVER_PROT", "SOUNDPOST_SERVER_PORT"),
        ("SOUNDPOST_APP_SECERT", "SOUNDPOST_APP_SECRET"),
        ("SOUNDPOST_APP_PING_INTERVALL", "SOUNDPOST_APP_PING_INTERVAL"),
    ],
)
def test_unknown_names_stop_the_start_with_the_nearest(directory: Directory, name: str, nearest: str) -> None:
    assert directory.error({name: "x"}) == f"environment: unknown setting {name}; did you mean {nearest}?"


def test_other_unknown_names_of_ours_are_told(directory: Directory) -> None:
    loaded = directory.load({**APP, "SOUNDPOST_APPS_ID": "1", "SOUNDPOST_COLOUR": "blue"})
    assert loaded.warnings == [
        "environment: SOUNDPOST_APPS_ID is not a setting of soundpost and has no effect; "
        "did you mean SOUNDPOST_APP_ID?",
        "environment: SOUNDPOST_COLOUR is not a setting of soundpost and has no effect",
    ]


def test_an_unreadable_dotenv_is_told_and_left_out(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.dotenv("SOUNDPOST_SERVER_PORT=9000\n")

    def refuse(self: Path, *args: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    loaded = directory.load(APP)
    assert loaded.settings.server.port == 8080
    assert loaded.warnings == [".env: cannot be read (Permission denied); its settings are not used"]


def test_a_dotenv_in_another_encoding_is_still_read(directory: Directory) -> None:
    (directory.path / ".env").write_bytes(b"\xef\xbb\xbfSOUNDPOST_SERVER_PORT=9000\nNAME=Caf\xe9\n")
    assert directory.load(APP).settings.server.port == 9000


def test_trusted_proxies_are_a_list(directory: Directory) -> None:
    assert directory.load(APP).settings.server.trusted_proxies == ("127.0.0.1", "::1")
    name = "SOUNDPOST_SERVER_TRUSTED_PROXIES"
    assert directory.load({**APP, name: "10.0.0.0/8, ::1"}).settings.server.trusted_proxies == ("10.0.0.0/8", "::1")
    assert directory.load({**APP, name: "*"}).settings.server.trusted_proxies == ("*",)
    assert directory.load({**APP, name: "(empty)"}).settings.server.trusted_proxies == ()
    with pytest.raises(
        ConfigurationError, match=r"TRUSTED_PROXIES: 'proxy\.local' is neither an address \(10\.0\.0\.1\) nor"
    ):
        directory.load({**APP, name: "10.0.0.1, proxy.local"})
    with pytest.raises(ConfigurationError, match=r"expected '1\.2' or '1\.3'"):
        directory.load({**APP, "SOUNDPOST_SERVER_TLS_MINIMUM_VERSION": "1.1"})


@pytest.mark.parametrize("text", ["X-Real-IP", "x-real-ip", "X-REAL-IP", '"x-Real-Ip"'])
def test_names_of_headers_are_one_in_whatever_case(directory: Directory, text: str) -> None:
    server = directory.load({**APP, "SOUNDPOST_SERVER_CLIENT_IP_HEADER": text}).settings.server
    assert server.client_ip_header == "X-Real-IP"
    assert "expected 'Forwarded' or 'X-Forwarded-For'" in directory.error(
        {"SOUNDPOST_SERVER_CLIENT_IP_HEADER": "X-Client"}
    )

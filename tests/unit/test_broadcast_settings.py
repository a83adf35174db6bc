"""Settings of an application: from keywords, a mapping, a URL, the environment."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from soundpost import Broadcaster
from soundpost.broadcasting.settings import (
    BroadcastSettings,
    ConnectionSettings,
    settings_from,
    settings_from_environment,
)
from soundpost.errors import ConfigurationError

APP = {"app_id": "1", "key": "k", "secret": "s3cret"}
MASTER_KEY = base64.b64encode(bytes(32)).decode()


def test_one_connection_by_keywords() -> None:
    settings = settings_from({**APP, "HOST": "example.com", "port": "443", "on_error": "log"})
    connection = settings.connection()
    assert (connection.app_id, connection.key, connection.secret) == ("1", "k", "s3cret")
    assert connection.base_url == "https://example.com:443"
    assert (settings.on_error, settings.deliver, settings.after_commit) == ("log", "now", True)


def test_defaults_are_this_machine_and_short_times() -> None:
    connection = settings_from(APP).connection()
    assert connection.base_url == "http://127.0.0.1:8080"
    assert (connection.connect_timeout, connection.timeout) == (1.0, 3.0)


def test_several_connections_the_first_being_the_default() -> None:
    settings = settings_from(
        {
            "connections": {"reverb": {**APP, "driver": "reverb", "path": "ws/"}, "log": {"driver": "log"}},
            "debug": "yes",
        }
    )
    assert settings.default == "reverb"
    assert settings.connection().base_url == "http://127.0.0.1:8080/ws"
    assert settings.connection("log").driver == "log"
    assert settings.debug is True


@pytest.mark.parametrize(
    ("url", "base", "app_id"),
    [
        ("http://k:s%2F1@127.0.0.1:8080/apps/a%20b", "http://127.0.0.1:8080", "a b"),
        ("https://k:s%2F1@ws.example.com/apps/1", "https://ws.example.com:443", "1"),
        ("http://k:s%2F1@example.com/apps/1/", "http://example.com:80", "1"),
        ("http://k:s%2F1@[::1]:8080/prefix/apps/1", "http://[::1]:8080/prefix", "1"),
    ],
)
def test_a_url_says_all(url: str, base: str, app_id: str) -> None:
    connection = settings_from({"url": url}).connection()
    assert (connection.base_url, connection.app_id) == (base, app_id)
    assert (connection.key, connection.secret) == ("k", "s/1")


def test_what_is_said_beside_a_url_wins() -> None:
    connection = settings_from({"url": "http://k:s@a:1/apps/1", "port": 2}).connection()
    assert connection.base_url == "http://a:2"


def test_pushers_own_address() -> None:
    assert settings_from({**APP, "driver": "pusher"}).connection().base_url == "https://api-mt1.pusher.com:443"
    eu = settings_from({**APP, "driver": "pusher", "host": "api-eu.pusher.com", "scheme": "https"})
    assert eu.connection().base_url == "https://api-eu.pusher.com:443"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"hots": "x"}, "'hots' is not a setting; did you mean 'host'?"),
        ({"qwertz": "x"}, "'qwertz' is not a setting"),
        ({"port": "http"}, "connection 'soundpost': 'port': 'http' is not a port: a number from 1 to 65535"),
        ({"port": 0}, "0 is not a port"),
        ({"port": 65536}, "65536 is not a port"),
        ({"scheme": "ws"}, "scheme 'ws': http or https"),
        ({"host": "http://example.com"}, "host 'http://example.com': a host name or address, without scheme"),
        ({"host": ""}, "host ''"),
        ({"driver": "pushr"}, "driver 'pushr' is unknown: soundpost, reverb, pusher"),
        ({"timeout": 0}, "timeout 0: a number of seconds above 0"),
        ({"timeout": "3"}, "timeout '3': a number of seconds above 0"),
        ({"connect_timeout": -1}, "connect_timeout -1"),
        ({"deliver": "later"}, "deliver 'later' is unknown: now, background, celery"),
        ({"on_error": "ignore"}, "on_error 'ignore': 'raise' or 'log'"),
        ({"after_commit": "maybe"}, "'after_commit': 'maybe' is neither true nor false"),
        ({"debug": 7}, "'debug': 7 is neither true nor false"),
        ({"trusted_origins": 7}, "'trusted_origins': 7 should be a list of texts"),
        ({"notification_channel": "users"}, "notification_channel 'users' has no {id} in it"),
        ({"encryption_master_key": "short"}, "must be 32 bytes in base64; make one with: openssl rand -base64 32"),
        ({"url": "http://example.com"}, "'url': expected http://KEY:SECRET@HOST:PORT/apps/APP_ID"),
        ({"url": "http://k:s@h:port/apps/"}, "'url': expected"),
        ({"url": "ws://k:s@h/apps/1"}, "'url': expected"),
        ({"public": {"hosts": "x"}}, "'public': 'hosts' is not a setting; did you mean 'host'?"),
        ({"public": {"qwertz": "x"}}, "'public': 'qwertz' is not a setting: host, path, port, tls"),
        ({"public": {"scheme": "wss"}}, "public scheme 'wss': http or https"),
        ({"public": {"tls": "perhaps"}}, "public 'tls': 'perhaps' is neither true nor false"),
        ({"public": {"port": "x"}}, "public 'port': 'x' is not a port"),
        ({"connections": {"a": {"kee": "x"}}}, "connection 'a': 'kee' is not a setting; did you mean 'key'?"),
        ({"connections": {"a": 7}}, "connection 'a': 7 should be a dictionary of settings"),
        ({"connections": {}, "host": "x"}, "'host' beside 'connections': put them into one of the connections"),
        ({"connections": {"a": {}}, "default": "b"}, "default 'b' is not a connection: there is a"),
    ],
    ids=str,
)
def test_wrong_settings_are_named(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_from(given)
    assert str(caught.value).startswith("soundpost.configure: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize("given", ["http://key:secret@localhost/apps/1", object(), [("app_id", "1")]])
def test_settings_of_another_type_are_named_without_their_value(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"settings of the type {type(given).__name__}: a dictionary"):
        Broadcaster().configure(given)


def test_an_encrypted_channel_without_a_key_says_what_to_set() -> None:
    with pytest.raises(
        ConfigurationError, match="private-encrypted-x is an encrypted channel: set encryption_master_key"
    ):
        settings_from(APP).connection().master_key("private-encrypted-x")


def test_secrets_are_not_shown() -> None:
    settings = settings_from({**APP, "encryption_master_key": MASTER_KEY})
    assert "s3cret" not in repr(settings)
    assert MASTER_KEY not in repr(settings)


class TestConnection:
    def test_nothing_is_configured(self) -> None:
        with pytest.raises(ConfigurationError, match=r"Soundpost is not configured: .* set SOUNDPOST_APP_ID"):
            BroadcastSettings().connection()

    def test_an_unknown_connection_is_named_with_the_known_ones(self) -> None:
        with pytest.raises(ConfigurationError, match="no connection is named 'b': there are a, c"):
            settings_from({"connections": {"a": {}, "c": {}}}).connection("b")

    def test_what_is_missing_is_told_when_it_is_needed(self) -> None:
        broadcaster = Broadcaster()
        broadcaster.configure(key="k")
        with pytest.raises(
            ConfigurationError,
            match="connection 'soundpost' has no app_id, no secret: set SOUNDPOST_APP_ID, SOUNDPOST_APP_SECRET",
        ):
            broadcaster.publish("a", "b")

    def test_a_driver_of_ones_own(self) -> None:
        broadcaster = Broadcaster()
        broadcaster.configure(driver="soundpost.broadcasting.drivers.offline:MemoryDriver")
        broadcaster.publish("a", "b")
        assert [message.name for message in broadcaster.drivers.of("").sent] == ["b"]  # type: ignore[attr-defined]
        broadcaster.configure(driver="no.such.module:Driver")
        with pytest.raises(ConfigurationError, match=r"driver 'no\.such\.module:Driver' cannot be loaded"):
            broadcaster.publish("a", "b")

    def test_a_delivery_of_ones_own(self) -> None:
        broadcaster = Broadcaster()
        broadcaster.configure(driver="null", deliver="soundpost.nowhere:Delivery")
        with pytest.raises(ConfigurationError, match=r"deliver 'soundpost\.nowhere:Delivery' cannot be loaded"):
            broadcaster.publish("a", "b")


class TestBrowser:
    """The address at which browsers connect."""

    def address(self, **given: Any) -> str:
        return settings_from({**APP, **given}).browser().base_url

    def test_the_connections_own_address_if_nothing_else_is_said(self) -> None:
        assert self.address(port=9000, path="/ws") == "http://127.0.0.1:9000/ws"

    @pytest.mark.parametrize(
        ("public", "address"),
        [
            ({"host": "ws.example.com", "port": 443, "tls": True}, "https://ws.example.com:443/ws"),
            ({"host": "ws.example.com", "port": 443}, "https://ws.example.com:443/ws"),
            ({"host": "ws.example.com", "tls": True}, "https://ws.example.com:443/ws"),
            ({"host": "ws.example.com", "scheme": "https"}, "https://ws.example.com:443/ws"),
            ({"tls": True}, "https://127.0.0.1:443/ws"),
            ({"host": "localhost"}, "http://localhost:9000/ws"),
            ({"host": "a", "port": 8443, "tls": True, "path": ""}, "https://a:8443"),
        ],
        ids=str,
    )
    def test_behind_a_proxy(self, public: dict[str, Any], address: str) -> None:
        assert self.address(port=9000, path="/ws", public=public) == address

    def test_the_secret_is_no_part_of_it(self) -> None:
        assert settings_from(APP).browser().secret == ""


class TestEnvironment:
    def test_nothing_is_no_connection(self) -> None:
        assert settings_from_environment({}).connections == {}
        assert settings_from_environment({"SOUNDPOST_APP_KEY": " "}).connections == {}

    def test_variables(self) -> None:
        settings = settings_from_environment(
            {
                "SOUNDPOST_APP_ID": "1",
                "SOUNDPOST_APP_KEY": "k",
                "SOUNDPOST_APP_SECRET": "s",
                "SOUNDPOST_HOST": "inside",
                "SOUNDPOST_PORT": "9000",
                "SOUNDPOST_PUBLIC_HOST": "ws.example.com",
                "SOUNDPOST_PUBLIC_PORT": "443",
                "SOUNDPOST_PUBLIC_SCHEME": "https",
                "SOUNDPOST_PUBLIC_PATH": "/ws",
                "SOUNDPOST_DELIVER": "background",
                "SOUNDPOST_ON_ERROR": "log",
                "SOUNDPOST_TRUSTED_ORIGINS": "https://a.example.com, https://b.example.com",
                "SOUNDPOST_ENCRYPTION_MASTER_KEY": MASTER_KEY,
            }
        )
        assert settings.connection() == ConnectionSettings(
            app_id="1", key="k", secret="s", host="inside", port=9000, encryption_master_key=MASTER_KEY
        )
        assert settings.browser().base_url == "https://ws.example.com:443/ws"
        assert (settings.deliver, settings.on_error) == ("background", "log")
        assert settings.trusted_origins == ("https://a.example.com", "https://b.example.com")

    def test_a_url(self) -> None:
        assert (
            settings_from_environment({"SOUNDPOST_URL": "http://k:s@h:1/apps/1"}).connection().base_url == "http://h:1"
        )

    def test_a_driver_alone(self) -> None:
        assert settings_from_environment({"SOUNDPOST_BROADCAST_DRIVER": "log"}).connection().driver == "log"

    def test_laravels_variables_where_ours_are_not_set(self) -> None:
        reverb = {
            "REVERB_APP_ID": "1",
            "REVERB_APP_KEY": "laravel",
            "REVERB_APP_SECRET": "s",
            "REVERB_HOST": "localhost",
            "REVERB_PORT": "8080",
            "REVERB_SCHEME": "http",
        }
        assert settings_from_environment(reverb).connection().base_url == "http://localhost:8080"
        assert settings_from_environment({**reverb, "SOUNDPOST_APP_KEY": "own"}).connection().key == "own"

    def test_secrets_in_files(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("s3cret\n")
        environ = {"SOUNDPOST_APP_SECRET_FILE": str(tmp_path / "secret")}
        assert settings_from_environment(environ).connection().secret == "s3cret"
        both = {**environ, "SOUNDPOST_APP_SECRET": "direct"}
        with pytest.raises(ConfigurationError, match="both SOUNDPOST_APP_SECRET and SOUNDPOST_APP_SECRET_FILE are set"):
            settings_from_environment(both)
        with pytest.raises(ConfigurationError, match=r"SOUNDPOST_APP_SECRET_FILE='.*/none': the file cannot be read"):
            settings_from_environment({"SOUNDPOST_APP_SECRET_FILE": str(tmp_path / "none")})

    def test_errors_say_that_it_is_the_environment(self) -> None:
        with pytest.raises(ConfigurationError, match=r"environment: connection 'soundpost': 'port': 'x' is not a port"):
            settings_from_environment({"SOUNDPOST_PORT": "x"})

    def test_a_broadcaster_that_was_not_configured_reads_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SOUNDPOST_URL", "http://k:s@h:1/apps/1")
        assert Broadcaster().settings.connection().host == "h"


def test_a_delivery_whose_library_is_missing_is_told_when_it_is_configured(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "rq", None)
    broadcaster = Broadcaster()
    broadcaster.configure(app_id="1", key="k", secret="s", deliver="rq")
    message = "deliver='rq' needs the library rq, which is not installed here: pip install rq"
    assert f"nothing can be broadcast: {message}" in caplog.text
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        broadcaster.publish("orders", "Shipped")


def test_the_site_s_address_is_for_processes_without_the_embedded_server() -> None:
    settings = settings_from({**APP, "driver": "embedded", "site_url": "https://shop.example/live/"})
    assert settings.connection().site_url == "https://shop.example/live"
    assert settings_from_environment({"SOUNDPOST_URL": "http://k:s@h/apps/1"}).connection().site_url == (
        "http://127.0.0.1:8000"
    )
    with pytest.raises(ConfigurationError, match="site_url 'shop': an address such as"):
        settings_from({**APP, "site_url": "shop"})


def test_a_certificate_authority_may_be_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert settings_from({"verify": "~/ca.pem"}).connection().verify == "/home/ada/ca.pem"
    with pytest.raises(ConfigurationError, match=r"verify='~nobody-of-this-name/ca.pem': there is no such home folder"):
        settings_from({"verify": "~nobody-of-this-name/ca.pem"})

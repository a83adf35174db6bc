"""Settings of Flask applications: config, environment, factories, several in one process."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

import soundpost
from frameworks.flask_apps import CREDENTIALS, ask, new_app, new_soundpost
from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.errors import ConfigurationError
from soundpost.flask import Soundpost
from soundpost.wire.signatures import sign


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SOUNDPOST_", "REVERB_")):
            monkeypatch.delenv(name)


@pytest.fixture
def common_broadcaster() -> Iterator[Broadcaster]:
    """The process's own, put back at the end."""
    gc.collect()  # applications of other tests
    yield soundpost.broadcast
    soundpost.broadcast.close()
    soundpost.broadcast.__init__()  # type: ignore[misc]


def settings(**config: object) -> BroadcastSettings:
    app = Flask("shop")
    app.config.update(config)
    new_soundpost(app)
    found: BroadcastSettings = app.extensions["soundpost"].settings
    return found


def test_short_and_long_names_are_the_same() -> None:
    long = settings(SOUNDPOST_APP_ID="1", SOUNDPOST_APP_KEY="k", SOUNDPOST_APP_SECRET="s", SOUNDPOST_PORT=9000)
    short = settings(SOUNDPOST_APP_ID=1, SOUNDPOST_KEY="k", SOUNDPOST_SECRET="s", SOUNDPOST_PORT="9000")
    assert long == short
    assert long.connection().base_url == "http://127.0.0.1:9000"


def test_what_is_not_configured_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDPOST_APP_SECRET", "from outside")
    monkeypatch.setenv("SOUNDPOST_HOST", "10.0.0.5")
    monkeypatch.setenv("SOUNDPOST_PUBLIC_HOST", "ws.example.com")
    monkeypatch.setenv("REVERB_APP_KEY", "laravel's")
    found = settings(SOUNDPOST_APP_ID="1", SOUNDPOST_HOST="10.0.0.6", SOUNDPOST_PUBLIC_PORT=444)
    connection = found.connection()
    assert (connection.key, connection.secret, connection.host) == ("laravel's", "from outside", "10.0.0.6")
    assert (found.public.host, found.public.port) == ("ws.example.com", 444)


def test_a_url_is_not_mixed_with_the_environment_s_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDPOST_APP_ID", "9")
    monkeypatch.setenv("SOUNDPOST_HOST", "10.0.0.5")
    monkeypatch.setenv("SOUNDPOST_DELIVER", "background")
    found = settings(SOUNDPOST_URL="http://k:s@10.0.0.7:8080/apps/1")
    assert (found.connection().app_id, found.connection().host, found.deliver) == ("1", "10.0.0.7", "background")


def test_one_of_several_connections_is_the_default() -> None:
    url = "https://k:s@ws.example.com/apps/2"
    found = settings(SOUNDPOST_CONNECTIONS={"main": {"url": url}, "log": {"driver": "log"}}, SOUNDPOST_DEFAULT="log")
    assert found.default == "log"
    assert found.connection("main").app_id == "2"


def test_the_server_s_own_variables_are_no_mistake() -> None:
    assert settings(**CREDENTIALS, SOUNDPOST_SERVER_PORT="8080", SOUNDPOST_APP_MAX_CONNECTIONS="5").connections
    assert settings(**CREDENTIALS, SOUNDPOST_DASHBOARD_PORT="8090", SOUNDPOST_METRICS_PORT="9100").connections
    assert settings(**CREDENTIALS, SOUNDPOST_LOG_FORMAT="json", SOUNDPOST_ACCESS_LOG="true").connections


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**CREDENTIALS, "SOUNDPOST_TIMOUT": 3}, "did you mean 'timeout'"),
        ({**CREDENTIALS, "SOUNDPOST_PUBLIC_HOTS": "x"}, "did you mean 'host'"),
        ({**CREDENTIALS, "SOUNDPOST_PORT": "many"}, "'port'"),
        ({"SOUNDPOST_APP_ID": "1", "SOUNDPOST_KEY": "k"}, "has no secret: set SOUNDPOST_APP_SECRET"),
    ],
)
def test_wrong_settings_are_told_at_the_start(config: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        settings(**config)


@pytest.mark.parametrize("given", [__name__, object()])
def test_what_is_not_an_application_of_flask_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"an application is expected, as in Soundpost\(app\)"):
        Soundpost(given)


def test_an_application_that_is_not_configured_starts_and_says_so_when_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Flask("shop")
    sp = new_soundpost(app)

    @sp.channels.private("x")
    def x(user: str) -> bool:
        return True

    assert ask(app, "private-x").status_code == 500
    assert "Soundpost is not configured" in caplog.text


def test_what_configure_said_counts_where_the_application_says_nothing() -> None:
    broadcaster = Broadcaster()
    broadcaster.configure(app_id="1", key="by-hand", secret="s")
    app = Flask("shop")
    sp = new_soundpost(app, broadcaster=broadcaster)

    @sp.channels.private("x")
    def x(user: str) -> bool:
        return True

    assert ask(app, "private-x").json["auth"].startswith("by-hand:")


def test_a_factory_configures_the_common_broadcaster_anew(common_broadcaster: Broadcaster) -> None:
    sp = Soundpost(channels=ChannelRoutes())
    for port in (8081, 8082):
        app = new_app(SOUNDPOST_PORT=port)
        sp.init_app(app)
        assert app.extensions["soundpost"].settings.connection().port == port
    assert soundpost.broadcast.settings.connection().port == 8082


def test_two_applications_that_take_a_broadcaster_from_each_other_are_warned_about(
    common_broadcaster: Broadcaster, caplog: pytest.LogCaptureFixture
) -> None:
    sp = Soundpost(channels=ChannelRoutes())
    shop, same, forum = new_app("shop"), new_app("same"), new_app("forum", SOUNDPOST_KEY="other")
    with caplog.at_level(logging.WARNING, "soundpost.broadcast"):
        sp.init_app(shop)
        sp.init_app(same)
        assert not caplog.records
        sp.init_app(forum)
    assert "'forum' takes over the broadcaster of another application, with other settings" in caplog.text


def test_several_applications_keep_apart() -> None:
    apps = [new_app("shop"), new_app("forum", SOUNDPOST_KEY="forum-key", SOUNDPOST_SECRET="forum-secret")]
    extensions = [new_soundpost(app) for app in apps]
    for sp in extensions:
        sp.channels.private("x")(lambda user: True)
    shop, forum = (ask(app, "private-x").json["auth"] for app in apps)
    assert shop == f"app-key:{sign('app-secret', '1.2:private-x')}"
    assert forum == f"forum-key:{sign('forum-secret', '1.2:private-x')}"
    with extensions[0].broadcast.fake() as sent:
        extensions[0].broadcast.publish("a", "b")
        assert sent.sent
    assert extensions[1].broadcast.settings.connection().key == "forum-key"


def test_the_common_broadcaster_is_that_of_the_application(common_broadcaster: Broadcaster) -> None:
    Soundpost(new_app())
    with soundpost.broadcast.fake() as sent:
        soundpost.publish("orders", "Placed")
        sent.assert_broadcast("Placed")

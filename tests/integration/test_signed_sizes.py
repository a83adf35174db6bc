"""Sizes of signed data: the server takes all that an auth endpoint signs; larger data are refused unsigned."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest

from soundpost.asgi import App as EmbeddedApp
from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest, AuthResponse, ChannelRoutes
from soundpost.broadcasting.settings import settings_from, settings_from_environment
from soundpost.core.app_settings import AppSettings
from soundpost.errors import ConfigurationError
from soundpost.testing import AuthorizationTester
from soundpost.wire.frames import TEXT
from support.harness import DEFAULT_APP
from support.ticked_server import ticked_server

LIMITS = {"max_user_info_size": 1_024, "max_user_id_length": 128, "max_message_size": 16_384}
TEXTS = ['"', "ü", "x", "\n", "😀", "\u2028"]
"""Characters that take one to six bytes in a message."""


def endpoint(say: Any, **limits: Any) -> AuthEndpoint:
    routes = ChannelRoutes()
    routes.presence("rooms.{room}", user_id=lambda user: user["id"])(lambda user, room: say)
    routes.user(lambda user: say)
    settings = {"app_id": DEFAULT_APP.id, "key": DEFAULT_APP.key, "secret": DEFAULT_APP.secret, "debug": True, **limits}
    return AuthEndpoint(routes, lambda: settings_from(settings))


def request(socket_id: str = "1.2", user_id: str = "7", channel: str = "presence-rooms.x") -> AuthRequest:
    body = f"socket_id={socket_id}&channel_name={channel}".encode()
    return AuthRequest({}, "", body, "example.com", lambda guard: {"id": user_id})


def padded(character: str, size: int) -> str:
    """A text whose JSON has this many bytes, quotes included."""
    each = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    count, rest = divmod(size - 2, each)
    return character * count + "x" * rest


def server_says(answer: AuthResponse, socket: Any, event: str, **more: str) -> str:
    """Return the server's answer to signed data."""
    payload = msgspec.json.encode({"event": event, "data": {**json.loads(answer.body), **more}})
    socket.send_frame(TEXT, payload)
    return str(socket.read_event()["event"])


@pytest.mark.parametrize("character", TEXTS)
def test_user_info_at_the_limit(character: str) -> None:
    with ticked_server() as server, server.connect() as socket:
        fitting = endpoint(padded(character, 1_024)).channel(request(socket.socket_id))
        said = server_says(fitting, socket, "pusher:subscribe", channel="presence-rooms.x")
        assert said == "pusher_internal:subscription_succeeded"
    refused = endpoint(padded(character, 1_025)).channel(request())
    assert refused.status == 500
    assert "user_info has 1025 bytes, the server takes 1024 (max_user_info_size)" in refused.body


@pytest.mark.parametrize("character", TEXTS)
def test_a_whole_message_at_the_limit(character: str) -> None:
    """Byte for byte: the largest that is signed arrives, one byte more is not signed."""
    app = msgspec.structs.replace(DEFAULT_APP, max_user_info_size=100_000)
    limits = {"max_user_info_size": "100000"}
    with ticked_server(app) as server, server.connect() as socket:
        size = 16_384
        while (found := endpoint(padded(character, size), **limits).channel(request(socket.socket_id))).status != 200:
            size -= 1
        assert size > 4_000
        said = server_says(found, socket, "pusher:subscribe", channel="presence-rooms.x")
        assert said == "pusher_internal:subscription_succeeded"
    refused = endpoint(padded(character, size + 7), **limits).channel(request(socket.socket_id))
    assert "bytes, the server takes 16384 (max_message_size)" in refused.body


@pytest.mark.parametrize("size", [128, 129])
def test_a_user_id_that_is_too_long_is_refused_before_the_server(size: int) -> None:
    with ticked_server() as server, server.connect() as socket:
        answers = [
            (endpoint(True).channel(request(socket.socket_id, "x" * size)), "pusher:subscribe"),
            (endpoint({"id": "x" * size}).user(request(socket.socket_id)), "pusher:signin"),
        ]
        for answer, event in answers:
            if size == 129:
                assert "the user's id has 129 characters, the server takes 128 (max_user_id_length)" in answer.body
            else:
                more = {"channel": "presence-rooms.x"} if event == "pusher:subscribe" else {}
                assert "error" not in server_says(answer, socket, event, **more)


@pytest.mark.parametrize(
    ("said", "option"),
    [
        ({"id": "7", "user_info": {"name": "x" * 1_100}}, "max_user_info_size"),
        ({"id": "7", "watchlist": ["x" * 100] * 200}, "max_message_size"),
    ],
)
def test_a_sign_in_that_is_too_large_names_the_option(
    said: dict[str, Any], option: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = endpoint(said).user(request())
    assert answer.status == 500
    assert f"({option})" in answer.body
    assert caplog.records[-1].levelno >= logging.WARNING
    assert f"SOUNDPOST_APP_{option.upper()}" in caplog.text


def test_an_application_knows_what_its_server_takes() -> None:
    """The server's own variables, often in the same environment, tell the application the limits."""
    environment = {"SOUNDPOST_URL": "http://k:s@h:1/apps/1", "SOUNDPOST_APP_MAX_USER_INFO_SIZE": "4096"}
    assert settings_from_environment(environment).connection().max_user_info_size == 4_096
    assert settings_from_environment({"SOUNDPOST_APP_MAX_MESSAGE_SIZE": "5"}).connections == {}
    for option in LIMITS:
        assert endpoint({"x": "y" * 2_000}, **LIMITS | {option: 100_000}).channel(request()).status == (
            200 if option == "max_user_info_size" else 500
        )
    with pytest.raises(ConfigurationError, match="'max_message_size': 'much' is not a limit"):
        settings_from({"app_id": "1", "max_message_size": "much"})


def test_the_defaults_are_the_server_s() -> None:
    app, connection = AppSettings(id="1", key="k", secret="s"), settings_from({"app_id": "1"}).connection()
    for option, limit in LIMITS.items():
        assert getattr(app, option) == getattr(connection, option) == limit


def test_an_embedded_server_is_asked_itself() -> None:
    server = EmbeddedApp(apps=[{"id": "of-sizes", "key": "k", "secret": "s", "max_user_info_size": 5_000}])
    taken = endpoint("x" * 3_000, app_id="of-sizes", driver="embedded").channel(request())
    assert (taken.status, server.apps[0].max_user_info_size) == (200, 5_000)
    assert endpoint("x" * 5_000, app_id="of-sizes", driver="embedded").channel(request()).status == 500


def test_reverb_has_a_limit_for_messages_only() -> None:
    assert endpoint("x" * 3_000, driver="reverb").channel(request()).status == 200
    assert endpoint("x" * 17_000, driver="reverb").channel(request()).status == 500


def test_tests_of_applications_find_it() -> None:
    tester = AuthorizationTester(endpoint("x" * 3_000))
    for check in (tester.assert_allowed, tester.assert_denied):
        with pytest.raises(AssertionError, match="max_user_info_size"):
            check({"id": "7"}, "presence-rooms.x")
    AuthorizationTester(endpoint("x" * 3_000, max_user_info_size=5_000)).assert_allowed({"id": "7"}, "presence-rooms.x")

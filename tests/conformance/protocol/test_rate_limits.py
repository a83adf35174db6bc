"""``rate_limiting``: how many messages of any kind a connection may send."""

from __future__ import annotations

import pytest

from conformance.protocol.stage import Stage, error_of
from soundpost.core.app_settings import RateLimiting

PONG = {"event": "pusher:pong", "data": "{}"}


def test_off_by_default() -> None:
    client = Stage().connect()

    for _ in range(500):
        client.say("pusher:ping")

    assert client.read() == [PONG] * 500


def test_excess_messages_are_refused_and_the_connection_stays() -> None:
    client = Stage(rate_limiting=RateLimiting(enabled=True, max_attempts=3, decay_seconds=60)).connect()

    for _ in range(3):
        client.say("pusher:ping")
    assert client.read() == [PONG] * 3
    client.say("pusher:ping")

    assert error_of(client.read()) == (4301, "Rate limit exceeded")
    assert client.close_code is None


@pytest.mark.parametrize(
    "payload", ["Hi", '{"event":"pusher:subscribe","data":{"channel":"a"}}', '{"event":"client-a"}']
)
def test_messages_of_all_kinds_count(payload: str) -> None:
    stage = Stage(rate_limiting=RateLimiting(enabled=True, max_attempts=1))
    client = stage.connect()
    client.raw(payload)
    client.read()

    client.raw(payload)

    assert error_of(client.read()) == (4301, "Rate limit exceeded")


def test_time_gives_back_what_was_used() -> None:
    stage = Stage(rate_limiting=RateLimiting(enabled=True, max_attempts=6, decay_seconds=60))
    client = stage.connect()
    for _ in range(7):
        client.say("pusher:ping")
    client.read()

    stage.now += 10
    client.say("pusher:ping")
    client.say("pusher:ping")
    assert [message["event"] for message in client.read()] == ["pusher:pong", "pusher:error"]
    stage.now += 60
    for _ in range(6):
        client.say("pusher:ping")
    assert client.read() == [PONG] * 6


def test_each_connection_has_its_own() -> None:
    stage = Stage(rate_limiting=RateLimiting(enabled=True, max_attempts=1))
    first, second = stage.connect(), stage.connect()

    first.say("pusher:ping")
    second.say("pusher:ping")

    assert first.read() == second.read() == [PONG]


def test_terminate_says_why_and_lets_the_client_come_back_later() -> None:
    stage = Stage(rate_limiting=RateLimiting(enabled=True, max_attempts=1, terminate_on_limit=True))
    client = stage.connect()
    client.say("pusher:ping")

    client.say("pusher:ping")

    messages = client.read()
    assert messages[0] == PONG
    assert error_of(messages) == (4301, "Rate limit exceeded")
    assert client.close_code == 4100
    assert stage.app.connections == {}

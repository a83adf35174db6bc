"""Authorized connections: who has not signed in, nor joined anything private, is closed after a time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from conformance.protocol.stage import APP, Client, Stage, error_of

WAY: dict[str, Callable[[Client], None]] = {
    "signs in": lambda client: client.sign_in({"id": "7"}),
    "joins a private channel": lambda client: client.ask("private-room"),
    "joins an encrypted channel": lambda client: client.ask("private-encrypted-room"),
    "joins a presence channel": lambda client: client.ask("presence-room", {"user_id": "7"}),
}
NO_WAY: dict[str, Callable[[Client], None]] = {
    "does nothing": lambda client: None,
    "pings": lambda client: client.say("pusher:ping"),
    "joins a public channel": lambda client: client.say("pusher:subscribe", {"channel": "room"}),
    "forges": lambda client: client.say("pusher:subscribe", {"channel": "private-a", "auth": "app-key:0000"}),
}


def wait(stage: Stage, seconds: int) -> None:
    for _ in range(seconds):
        stage.now += 1
        stage.node.every_second()
    stage.turn()


@pytest.mark.parametrize("way", WAY)
def test_who_proves_who_it_is_may_stay(way: str) -> None:
    stage = Stage(authorization_timeout=20)
    client = stage.connect()

    wait(stage, 19)
    WAY[way](client)
    wait(stage, 100)

    assert client.close_code is None
    assert stage.app.unauthorized == {}


@pytest.mark.parametrize("way", NO_WAY)
def test_who_does_not_is_closed_with_4009(way: str) -> None:
    stage = Stage(authorization_timeout=20)
    client = stage.connect()
    NO_WAY[way](client)

    wait(stage, 19)
    assert client.close_code is None
    client.read()
    wait(stage, 1)

    code, message = error_of(client.read())
    assert code == 4009
    assert "not authorized within timeout" in message
    assert "20 s (authorization_timeout)" in message
    assert [client.close_code, stage.app.unauthorized, stage.app.connections] == [4009, {}, {}]


def test_by_default_nobody_is_closed() -> None:
    stage = Stage()
    client = stage.connect()

    wait(stage, 10_000)

    assert client.close_code is None


def test_who_goes_by_itself_is_forgotten() -> None:
    stage = Stage(authorization_timeout=20)
    stage.connect().vanish()

    stage.turn()

    assert stage.app.unauthorized == {}


def test_a_crowd_is_closed_some_at_a_time_the_oldest_first() -> None:
    stage = Stage(authorization_timeout=20)
    clients = [stage.connect() for _ in range(1_200)]

    wait(stage, 20)
    closed = [client.close_code is not None for client in clients]
    assert closed == [True] * 500 + [False] * 700
    wait(stage, 2)

    assert all(client.close_code == 4009 for client in clients)


def test_without_the_option_since_a_reload_nobody_is_closed_any_more() -> None:
    stage = Stage(authorization_timeout=20)
    client = stage.connect()

    stage.node.reconfigure([msgspec.structs.replace(APP)])
    wait(stage, 100)

    assert client.close_code is None

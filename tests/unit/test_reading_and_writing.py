"""A WebSocket that is read: when the others have what came. Without a socket; the loop turns when it is told to."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conformance.protocol.stage import Client, Stage
from soundpost.server.connections.fair_queue import FairQueue
from soundpost.server.connections.timer_wheel import TimerWheel
from soundpost.server.connections.websocket_connection import WebSocketConnection
from soundpost.wire import frames
from support.harness import client_frame

ROOM = "private-room"
EVENT = client_frame(frames.TEXT, json.dumps({"event": "client-a", "channel": ROOM}).encode())


class Transport:
    """A transport that takes everything, of no plain socket."""

    def get_extra_info(self, name: str) -> str:
        return name

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.fixture
def stage() -> Stage:
    return Stage()


def sender(stage: Stage) -> WebSocketConnection:
    """Return a WebSocket that is subscribed to the room."""
    parts = SimpleNamespace(wheel=TimerWheel(), fair_queue=FairQueue(stage.call_soon, lambda: stage.now))
    connection = WebSocketConnection(stage.app, cast("Any", parts), cast("Any", Transport()))
    stage.app.channels[ROOM].add(connection, None)
    return connection


def listener(stage: Stage) -> Client:
    """Return a client that is subscribed to the room, and has read everything."""
    client = stage.connect().join(ROOM)
    client.read()
    return client


@pytest.mark.interpreted
def test_the_only_other_has_an_event_before_the_turn_ends(stage: Stage) -> None:
    other = listener(stage)

    sender(stage).data_received(EVENT)

    assert len(other.writes) == 1


@pytest.mark.interpreted
def test_events_of_one_read_are_one_write(stage: Stage) -> None:
    other = listener(stage)

    sender(stage).data_received(EVENT * 3)
    stage.turn()

    assert len(other.writes) == 1
    assert len(other.read()) == 3

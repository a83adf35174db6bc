"""How the sockets of WebSockets are read: by the server's pollers, or by the loop where there is no epoll."""

from __future__ import annotations

import logging
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from soundpost.core.connection import Connection
from soundpost.core.observer import Observer
from soundpost.server import server
from soundpost.server.connections.socket_poller import AT_ONCE
from soundpost.server.connections.socket_transport import SocketTransport
from soundpost.server.connections.websocket_connection import WebSocketConnection
from soundpost.wire.frames import TEXT
from soundpost.wire.signatures import channel_text, sign
from support.harness import DEFAULT_APP, RawSocket, client_frame
from support.ticked_server import TickedServer, ticked_server

PING = client_frame(TEXT, b'{"event":"pusher:ping","data":{}}')
HAS_EPOLL = sys.platform == "linux"


class Calls(Observer):
    """Call a function with each connection whose message is acted on."""

    def __init__(self, function: Callable[[Connection], None]) -> None:
        self._function = function

    def message_received(self, connection: Connection, payload: bytes) -> None:
        self._function(connection)


class ReadByLoop(Observer):
    """Have the loop read each connection from the beginning, as if it had sent a client event."""

    def connection_opened(self, connection: Connection) -> None:
        connection.note_client_events()


def broken_clock() -> float:
    """Raise, as by a fault of the server."""
    raise RuntimeError("a fault of the server")


@pytest.fixture(
    params=["LoopReader", "SocketPoller", "transport of the loop"] if HAS_EPOLL else ["transport of the loop"]
)
def ticked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TickedServer]:
    if request.param == "transport of the loop":
        monkeypatch.setattr(server, "has_epoll", lambda: False)
    with ticked_server() as ticked:
        if request.param == "LoopReader":
            ticked.server.node.observers = (ReadByLoop(),)
        yield ticked


def connection_of(ticked: TickedServer, client: RawSocket) -> WebSocketConnection:
    """Return the server's end of a client."""
    found = ticked.run(lambda: ticked.server.node.by_id["1"].connections[client.socket_id])
    assert isinstance(found, WebSocketConnection)
    return found


def is_served(client: RawSocket) -> bool:
    """Tell whether a client's ping is answered."""
    client.send(PING)
    return bool(client.read_event()["event"] == "pusher:pong")


@pytest.mark.skipif(not HAS_EPOLL, reason="the loop reads all sockets")
def test_a_loop_turn_reads_a_bounded_number_of_sockets() -> None:
    with ticked_server() as ticked, ExitStack() as stack:
        clients = [stack.enter_context(ticked.connect()) for _ in range(3 * AT_ONCE)]
        acted_on: list[str] = []
        after_a_turn: list[int] = []
        ticked.server.node.observers = (Calls(lambda connection: acted_on.append(connection.socket_id)),)
        ticked.server.fair_queue._clock = lambda: 0.0  # there is always time
        call_soon = ticked.server.loop.call_soon
        note = partial(call_soon, call_soon, lambda: after_a_turn.append(len(acted_on)))
        with ticked.held(then=note):
            for client in clients:
                client.send(PING)
        for client in clients:
            assert client.read_event()["event"] == "pusher:pong"
        assert after_a_turn[0] <= 2 * AT_ONCE
        assert sorted(acted_on) == sorted(client.socket_id for client in clients)


@pytest.mark.skipif(not HAS_EPOLL, reason="the loop reads all sockets")
def test_the_loop_reads_the_first_clients_that_send_events_while_they_are_connected() -> None:
    with ticked_server() as ticked, ExitStack() as stack:
        reader, poller = ticked.server.loop_reader, ticked.server.poller
        reader.most = 2

        def readers(clients: list[RawSocket]) -> list[object]:
            transports = [connection_of(ticked, client)._transport for client in clients]
            return [each._poller for each in transports if isinstance(each, SocketTransport)]

        def send_events(client: RawSocket) -> None:
            room = f"private-{client.socket_id}"
            auth = f"{DEFAULT_APP.key}:{sign(DEFAULT_APP.secret, channel_text(client.socket_id, room))}"
            client.send_event("pusher:subscribe", {"channel": room, "auth": auth})
            assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"
            client.send_event("client-typing", {}, channel=room)
            assert is_served(client)

        clients = [stack.enter_context(ticked.connect()) for _ in range(4)]
        assert readers(clients) == [poller] * 4
        for client in clients[1:]:
            send_events(client)
        assert readers(clients) == [poller, reader, reader, poller]
        clients.pop(1).socket.close()
        ticked.until(lambda: ticked.server.open_websockets == 3)
        send_events(clients[0])
        assert readers(clients) == [reader, reader, poller]
        transport = connection_of(ticked, clients[0])._transport
        assert transport is not None
        with ticked.held():
            transport.pause_reading()
        clients.append(stack.enter_context(ticked.connect()))
        send_events(clients[-1])
        assert readers(clients) == [reader, reader, poller, poller]
        ticked.server.loop.call_soon_threadsafe(transport.resume_reading)
        assert all(is_served(client) for client in clients)


def test_a_client_that_resets_the_connection_is_forgotten(ticked: TickedServer) -> None:
    with ticked.connect() as bystander:
        gone = ticked.connect()
        gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.socket.close()
        ticked.until(lambda: ticked.server.open_websockets == 1)
        assert is_served(bystander)


def test_a_client_that_ends_its_side_is_closed(ticked: TickedServer) -> None:
    with ticked.connect() as client, ticked.connect() as bystander:
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read_rest() == b""
        ticked.until(lambda: ticked.server.open_websockets == 1)
        assert is_served(bystander)


def test_what_a_client_sent_before_it_ended_its_side_is_answered(ticked: TickedServer) -> None:
    with ticked.connect() as client:
        client.send(PING * 20)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read_rest().count(b"pusher:pong") == 20


def test_a_message_that_waits_for_its_turn_is_handled_though_the_client_ends_its_side(ticked: TickedServer) -> None:
    with ticked.connect() as client:
        acted_on: list[str] = []
        ticked.server.node.observers = (Calls(lambda connection: acted_on.append(connection.socket_id)),)
        ticked.keep_busy()
        client.send(PING)
        client.socket.shutdown(socket.SHUT_WR)
        ticked.until(lambda: ticked.server.open_websockets == 0)
        assert acted_on == [client.socket_id]


def test_who_is_dropped_while_its_input_is_read_harms_nobody(
    ticked: TickedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The input of two clients is found at once; what the first one sent has the server drop the second."""
    with ticked.connect() as one, ticked.connect() as other, ticked.connect() as bystander:
        both = {client.socket_id: connection_of(ticked, client) for client in (one, other)}
        acted_on: list[str] = []

        def drop_the_other(connection: Connection) -> None:
            acted_on.append(connection.socket_id)
            for socket_id, found in both.items():
                if connection.socket_id in both and socket_id != connection.socket_id:
                    found.abort()

        ticked.server.node.observers = (Calls(drop_the_other),)
        with ticked.held():
            one.send(PING)
            other.send(PING)
        ticked.until(lambda: ticked.server.open_websockets == 2)
        assert is_served(bystander)
        assert len(acted_on) == 2
        assert not caplog.records


def test_a_connection_is_dropped_if_its_input_cannot_be_handled(
    ticked: TickedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Also by a fault of the server that no part of it has foreseen."""
    with ticked.connect() as client, ticked.connect() as bystander:
        queue = ticked.server.fair_queue
        clock, queue._clock = queue._clock, broken_clock
        with caplog.at_level(logging.ERROR):
            client.send(PING)
            ticked.until(lambda: ticked.server.open_websockets == 1)
        queue._clock = clock
        assert "a fault of the server" in caplog.text
        assert is_served(bystander)


def test_reading_goes_on_after_a_pause(ticked: TickedServer) -> None:
    with ticked.connect() as client:
        connection = connection_of(ticked, client)
        ticked.run(connection._pause_reading)
        assert not ticked.run(lambda: connection.is_reading)
        client.send(PING)
        ticked.run(lambda: None)
        assert not client.has_input()
        ticked.run(connection._resume_reading)
        assert ticked.run(lambda: connection.is_reading)
        assert client.read_event()["event"] == "pusher:pong"

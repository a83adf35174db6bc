"""One client cannot take the server from the others, whatever it sends and however fast."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from soundpost.core.connection import Connection
from soundpost.core.observer import Observer
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import Request, Response
from soundpost.server.connections.http_connection import HttpConnection
from soundpost.server.connections.websocket_connection import WebSocketConnection
from soundpost.server.server import Server
from soundpost.wire.frames import TEXT
from support.attackers import Attack, attacking
from support.harness import RawSocket, RunningServer, client_frame, running_server, signed_request, upgrade_request
from support.hostile import over_http, over_websockets, that_never_read, websocket
from support.self_signed import self_signed
from support.ticked_server import ticked_server

ATTACKS = {**over_websockets("app-key"), **over_http(), **that_never_read("app-key")}
PING = client_frame(TEXT, b'{"event":"pusher:ping","data":{}}')
SUBSCRIBE = client_frame(TEXT, b'{"event":"pusher:subscribe","data":{"channel":"lobby"}}')
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BURSTS = {"pusher pings": PING, "subscriptions": SUBSCRIBE, "junk": client_frame(TEXT, b"1"), "requests": REQUEST}
SUCCEEDED = "pusher_internal:subscription_succeeded"
MAX_AT_ONCE = 30
"""Frames or requests of one client that may be acted on before others have their turn."""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server


def answered(client: RawSocket) -> None:
    """Have the server answer a ping."""
    client.send(PING)
    assert client.read_event()["event"] == "pusher:pong"


class ActedOn(Observer):
    """Whose messages and requests the server acts on, in order: socket ids, or paths."""

    def __init__(self, server: Server) -> None:
        self.order: list[str] = []
        self._respond = server.router.respond
        server.node.observers = (self,)
        server.router.respond = self.respond  # type: ignore[method-assign]

    def message_received(self, connection: Connection, payload: bytes) -> None:
        self.order.append(connection.socket_id)

    def respond(self, request: Request) -> Response | PendingResponse:
        self.order.append(request.path)
        return self._respond(request)


@pytest.mark.parametrize("kind", BURSTS)
def test_who_asks_little_does_not_wait_for_those_who_ask_much(kind: str) -> None:
    opens = RawSocket if kind == "requests" else RawSocket.open
    with ticked_server() as ticked, ExitStack() as stack:
        greedy = [stack.enter_context(opens(ticked.port)) for _ in range(4)]
        bystander = stack.enter_context(ticked.connect())
        acted_on = ticked.run(lambda: ActedOn(ticked.server))
        with ticked.held():
            for client in greedy:
                client.send(BURSTS[kind] * 500)
            bystander.send(PING)

        assert bystander.read_event()["event"] == "pusher:pong"
        ticked.until(lambda: len(acted_on.order) == 4 * 500 + 1)
        assert acted_on.order.index(bystander.socket_id) <= 4 * MAX_AT_ONCE


def test_messages_of_very_many_clients_do_not_stop_the_loop() -> None:
    """Each of them sends one message, all at the same moment."""
    with ticked_server() as ticked, ExitStack() as stack:
        clients = [stack.enter_context(ticked.connect()) for _ in range(40)]
        acted_on = ticked.run(lambda: ActedOn(ticked.server))
        seconds = itertools.count(10**9)  # later than any deadline of before
        ticked.server.fair_queue._clock = lambda: next(seconds) * 0.0009  # two looks at the clock end a turn
        done_after_a_turn: list[int] = []
        note = partial(ticked.server.loop.call_soon, lambda: done_after_a_turn.append(len(acted_on.order)))
        with ticked.held(then=note):
            for client in clients:
                client.send(PING)

        for client in clients:
            assert client.read_event()["event"] == "pusher:pong"
        assert done_after_a_turn[0] < 5
        assert sorted(acted_on.order) == sorted(client.socket_id for client in clients)


def test_requests_of_a_client_that_is_gone_do_not_stop_the_loop() -> None:
    with ticked_server() as ticked, RawSocket(ticked.port):
        acted_on = ticked.run(lambda: ActedOn(ticked.server))
        seconds = itertools.count()
        ticked.server.fair_queue._clock = lambda: next(seconds) * 0.0009  # two looks at the clock end a turn
        done: list[int] = [0]

        def note_turn() -> None:
            done.append(len(acted_on.order))
            if done[-1] < 500:
                ticked.server.loop.call_soon(note_turn)

        def reset() -> None:
            (connection,) = ticked.server.http_connections
            connection.data_received(REQUEST * 500)
            connection.abort()
            note_turn()

        ticked.until(lambda: len(ticked.server.http_connections) == 1)
        ticked.run(reset)
        ticked.until(lambda: not ticked.server.http_connections)
        assert done[-1] == 500
        assert max(after - before for before, after in itertools.pairwise(done)) <= MAX_AT_ONCE


def test_upgrades_of_very_many_clients_do_not_stop_the_loop() -> None:
    """Each of them has a connection, and asks for its WebSocket at the same moment."""
    with ticked_server() as ticked, ExitStack() as stack:
        clients = [stack.enter_context(RawSocket(ticked.port)) for _ in range(40)]
        ticked.until(lambda: ticked.server.open_sockets == len(clients))
        seconds = itertools.count(10**9)  # later than any deadline of before
        ticked.server.fair_queue._clock = lambda: next(seconds) * 0.0009  # two looks at the clock end a turn
        open_after_a_turn: list[int] = []
        note = partial(ticked.server.loop.call_soon, lambda: open_after_a_turn.append(ticked.server.open_websockets))
        with ticked.held(then=note):
            for client in clients:
                client.send(upgrade_request())

        for client in clients:
            assert client.read_head().startswith(b"HTTP/1.1 101 ")
            assert client.read_event()["event"] == "pusher:connection_established"
        assert open_after_a_turn[0] < 5


def test_who_waits_with_a_first_request_does_not_make_room_for_others() -> None:
    with ticked_server() as ticked, RawSocket(ticked.port):
        ticked.until(lambda: ticked.server.open_sockets == 1)
        (connection,) = ticked.server.http_connections
        assert connection.is_evictable
        ticked.run(lambda: setattr(ticked.server.fair_queue, "_clock", itertools.count(10**9).__next__))

        def receive() -> bool:
            assert ticked.server.fair_queue.has_time()
            connection.data_received(REQUEST)  # too late for this turn, by the clock
            return connection.is_evictable

        assert not ticked.run(receive)


def test_a_first_request_over_tls_is_handled_though_the_client_ends_at_once(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=certificate)
    with ticked_server(tls={"certificate": str(certificate), "key": str(key)}) as ticked:
        body = b'{"name":"e","channel":"lobby","data":"{}"}'
        with (
            socket.create_connection(("127.0.0.1", ticked.port)) as plain,
            trust.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            ticked.keep_busy()
            client.sendall(signed_request("POST", "/events", body))
        ticked.until(lambda: ticked.server.open_sockets == 0)
        assert ticked.server.node.by_id["1"].figures.events == 1


def test_what_comes_while_a_message_waits_for_its_turn_is_answered_after_it() -> None:
    with ticked_server() as ticked, ticked.connect() as client:
        ticked.server.fair_queue._clock = itertools.count(10**9).__next__  # nothing is done at once
        (connection,) = ticked.server.node.by_id["1"].connections.values()

        def receive() -> None:
            for data in (SUBSCRIBE, PING, PING + SUBSCRIBE, PING):
                cast("WebSocketConnection", connection).data_received(data)

        ticked.run(receive)
        events = [client.read_event()["event"] for _ in range(5)]
        assert events == [SUCCEEDED, "pusher:pong", "pusher:pong", SUCCEEDED, "pusher:pong"]
        answered(client)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_harms_nobody_else(server: RunningServer, name: str) -> None:
    with server.connect() as bystander, attacking(server.port, ATTACKS[name], seconds=120) as attackers:
        for _ in range(30):
            answered(bystander)
        assert attackers.poll() is None, "the attack was over too early"
        with server.connect() as newcomer:
            answered(newcomer)

    assert server.process.poll() is None
    assert "Traceback" not in server.log()


def test_messages_that_came_together_are_answered_in_order(server: RunningServer) -> None:
    with server.connect() as client:
        names = [f"room-{number}" for number in range(200)]
        frames = [
            client_frame(TEXT, json.dumps({"event": "pusher:subscribe", "data": {"channel": name}}).encode())
            for name in names
        ]
        client.send(b"".join(frames))

        assert [client.read_event()["channel"] for _ in names] == names


def test_requests_that_came_together_are_answered_in_order(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(500)))

        answers = [client.read_response() for _ in range(500)]

        assert [answer.status for answer in answers] == [404] * 500
        assert [f"/{number}" in answer.body.decode() for number, answer in enumerate(answers)] == [True] * 500


@pytest.mark.parametrize("requests", [0, 1, 300])
def test_a_websocket_may_follow_requests_and_bring_messages_along(server: RunningServer, requests: int) -> None:
    with RawSocket(server.port) as client:
        client.send(REQUEST * requests + upgrade_request() + PING * 300)
        for _ in range(requests):
            assert client.read_response().status == 404
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"

        assert [client.read_event()["event"] for _ in range(300)] == ["pusher:pong"] * 300


def waits(connection: HttpConnection) -> bool:
    return connection.transport.get_write_buffer_size() > 0


def test_answers_that_wait_for_the_client_come_before_the_websocket(server: RunningServer) -> None:
    """Also where the WebSocket begins while the transport still holds them: nothing overtakes them."""
    with ticked_server() as ticked, RawSocket(ticked.port, receive_buffer=4_096) as client:
        asked, held = 0, False
        while not held:
            client.send(REQUEST * 20)
            asked += 20
            held = ticked.run(lambda: any(map(waits, ticked.server.http_connections)))
            assert asked < 200_000
        client.send(upgrade_request() + client_frame(TEXT, b'{"event":"pusher:subscribe","data":{"channel":"room"}}'))
        ticked.until(lambda: ticked.subscribers("room") == 1)
        for number in range(300):
            ticked.publish("room", str(number), "x" * 500)

        for _ in range(asked):
            assert client.read_response().status == 404
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        names = [client.read_event()["event"] for _ in range(302)]
        assert names[:2] == ["pusher:connection_established", "pusher_internal:subscription_succeeded"]
        assert names[2:] == [str(number) for number in range(300)]


def test_what_was_asked_before_a_half_close_is_answered() -> None:
    with running_server(workers=2) as server:
        for count in (5, 100, 300):
            with RawSocket(server.port) as client:
                client.send(signed_request("GET", "/channels") + REQUEST * (count - 1))
                client.socket.shutdown(socket.SHUT_WR)

                assert client.read_rest().count(b"HTTP/1.1 ") == count


def test_a_large_body_is_read_whole_among_small_requests(server: RunningServer) -> None:
    body = json.dumps({"name": "e", "channel": "c", "data": "x" * 9_000}).encode()
    unsigned = b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with RawSocket(server.port) as client:
        client.send((REQUEST * 3 + unsigned) * 20)

        assert [client.read_response().status for _ in range(80)] == [404, 404, 404, 401] * 20


def test_attackers_are_told_apart_from_their_app(server: RunningServer) -> None:
    """A flood over one app's key ends no client of it."""
    flood = Attack(websocket("app-key"), client_frame(TEXT, b"1").decode("latin-1"), connections=2)
    with ExitStack() as stack:
        others = [stack.enter_context(server.connect()) for _ in range(20)]
        with attacking(server.port, flood, seconds=120):
            server.wait_for_log("more than 1000 control frames")
        for client in others:
            answered(client)

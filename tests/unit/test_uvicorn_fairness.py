"""Fairness under uvicorn: input is parsed in pieces, in turn, while both sides can go on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from soundpost.asgi.uvicorn_fairness import PIECE, FairProtocol, make_uvicorn_fair
from soundpost.server.connections.fair_queue import FairQueue


class Inner(asyncio.Protocol):
    """Notes what it is told, as uvicorn's protocols would be."""

    def __init__(self, greeting: str = "") -> None:
        self.greeting = greeting
        self.pieces: list[bytes] = []
        self.told: list[str] = []
        self.on_piece: Callable[[], None] = lambda: None
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.on_piece()

    def eof_received(self) -> None:
        self.told.append("eof")

    def pause_writing(self) -> None:
        self.told.append("pause writing")

    def resume_writing(self) -> None:
        self.told.append("resume writing")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")


class Transport:
    """A transport that knows whether it reads, closes, was aborted."""

    def __init__(self) -> None:
        self.reads = True
        self.closing = False
        self.aborted = False

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str) -> str:
        return f"its {name}"


class Connection:
    """A connection, and the loop turns it is served in."""

    def __init__(self) -> None:
        self.turns: deque[Callable[[], None]] = deque()
        self.now = 0.0
        self.queue = FairQueue(self.turns.append, lambda: self.now)
        self.transport = Transport()
        self.protocol = FairProtocol(Inner, self.queue, greeting="hello")
        self.protocol.connection_made(cast("asyncio.Transport", self.transport))
        self.inner = cast("Inner", self.protocol.inner)
        self.upgrade()

    def upgrade(self) -> None:
        self.inner.transport.set_protocol(self.inner)

    def turn(self) -> None:
        """One loop turn, which has time for one piece."""
        callback = self.turns.popleft()
        held = self.inner.on_piece

        def spend() -> None:
            self.now += 1
            held()

        self.inner.on_piece = spend
        callback()
        self.inner.on_piece = held
        self.now += 1

    def all_turns(self) -> None:
        while self.turns:
            self.turn()


@pytest.fixture
def connection() -> Connection:
    return Connection()


def test_the_protocol_is_made_as_uvicorn_makes_it(connection: Connection) -> None:
    assert connection.inner.greeting == "hello"
    assert connection.inner.transport.get_extra_info("peername") == "its peername"
    assert connection.inner.transport.get_protocol() is connection.inner


def test_a_small_read_is_parsed_at_once(connection: Connection) -> None:
    connection.protocol.data_received(b"x" * PIECE)
    assert connection.inner.pieces == [b"x" * PIECE]
    assert connection.transport.reads


def test_a_small_read_waits_in_a_turn_that_is_over(connection: Connection) -> None:
    connection.protocol.data_received(b"1")
    connection.now += 1
    connection.protocol.data_received(b"2")
    assert connection.inner.pieces == [b"1"]
    connection.all_turns()
    assert connection.inner.pieces == [b"1", b"2"]
    assert connection.transport.reads


def test_a_large_read_is_parsed_in_pieces_and_nothing_is_read_meanwhile(connection: Connection) -> None:
    connection.protocol.data_received(b"x" * (2 * PIECE + 1))
    assert connection.inner.pieces == []
    for pieces, reads in ((1, False), (2, False), (3, True)):
        connection.turn()
        assert (len(connection.inner.pieces), connection.transport.reads) == (pieces, reads)
    assert b"".join(connection.inner.pieces) == b"x" * (2 * PIECE + 1)


def test_requests_are_parsed_one_by_one() -> None:
    connection = Connection()
    connection.protocol._is_http = True
    one, two = b"GET /1 HTTP/1.1\r\n\r\n", b"POST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\n"
    connection.protocol.data_received(one + two + b"x" + one)
    connection.all_turns()
    assert connection.inner.pieces == [one, two, b"x" + one]


def test_nothing_is_parsed_while_uvicorn_will_not_read(connection: Connection) -> None:
    connection.inner.on_piece = lambda: connection.inner.transport.pause_reading()
    connection.protocol.data_received(b"x" * 3 * PIECE)
    connection.all_turns()
    assert len(connection.inner.pieces) == 1
    connection.inner.on_piece = lambda: None
    connection.inner.transport.resume_reading()
    connection.all_turns()
    assert len(connection.inner.pieces) == 3
    assert connection.transport.reads


def test_nothing_is_parsed_while_the_client_does_not_read(connection: Connection) -> None:
    connection.protocol.pause_writing()
    connection.protocol.data_received(b"x")
    connection.all_turns()
    assert connection.inner.pieces == []
    assert not connection.transport.reads
    connection.protocol.resume_writing()
    connection.all_turns()
    assert connection.inner.pieces == [b"x"]
    assert connection.transport.reads
    assert connection.inner.told == ["pause writing", "resume writing"]


def test_what_comes_after_the_end_is_dropped(connection: Connection) -> None:
    connection.protocol.data_received(b"x" * 3 * PIECE)
    connection.inner.on_piece = lambda: setattr(connection.transport, "closing", True)
    connection.all_turns()
    assert len(connection.inner.pieces) == 1


def test_a_lost_connection_is_told_at_once(connection: Connection) -> None:
    connection.protocol.data_received(b"x" * 3 * PIECE)
    connection.turn()
    connection.transport.closing = True
    connection.protocol.connection_lost(None)
    connection.all_turns()
    assert len(connection.inner.pieces) == 1
    assert connection.inner.told == ["lost"]


def test_a_connection_whose_protocol_fails_is_dropped(connection: Connection) -> None:
    def fail() -> None:
        raise RuntimeError("a fault of the protocol")

    connection.inner.on_piece = fail
    connection.protocol.data_received(b"x" * 3 * PIECE)
    connection.turn()
    assert connection.transport.aborted


async def test_uvicorn_is_made_fair_once_and_others_are_left_alone() -> None:
    config = type("Config", (), {"__module__": "uvicorn.config", "http_protocol_class": Inner})()

    class Lifespan:
        def __init__(self, config: object) -> None:
            self.config = config

        async def receive(self) -> None: ...

    for _ in range(2):
        make_uvicorn_fair(Lifespan(config).receive)
    made = config.http_protocol_class(greeting="hi")
    assert isinstance(made, FairProtocol)
    assert isinstance(made.inner, Inner)
    other = SimpleNamespace(http_protocol_class=Inner)
    make_uvicorn_fair(Lifespan(other).receive)
    make_uvicorn_fair(lambda: None)
    assert other.http_protocol_class is Inner

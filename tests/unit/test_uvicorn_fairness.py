"""Fairness under uvicorn: input is parsed in pieces, in turn, while both sides can go on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from soundpost.asgi.uvicorn_fairness import (
    LARGE_PIECE,
    MAX_UNREAD,
    PIECE,
    FairProtocol,
    make_uvicorn_fair,
)
from soundpost.server.connections.fair_queue import FairQueue

USER: Final[ContextVar[str]] = ContextVar("USER", default="nobody")


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
        self.unread = 0
        self.written = b""

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

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write(self, data: bytes) -> None:
        self.written += data


class HttpInner(Inner):
    """A protocol for HTTP, whose last request has a body to come or not."""

    def __init__(self, greeting: str = "") -> None:
        super().__init__(greeting)
        self.cycle: Any = None


class Connection:
    """A connection, and the loop turns it is served in."""

    def __init__(self, inner: type[Inner] = Inner) -> None:
        self.turns: deque[Callable[[], None]] = deque()
        self.now = 0.0
        self.queue = FairQueue(self.turns.append, lambda: self.now)
        self.transport = Transport()
        self.protocol = FairProtocol(inner, self.queue, self.turns.append, greeting="hello")
        self.protocol.connection_made(cast("asyncio.Transport", self.transport))
        self.inner = cast("Inner", self.protocol.inner)

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
    for pieces in (1, 2, 3):
        connection.turn()
        assert (len(connection.inner.pieces), connection.transport.reads) == (pieces, False)
    connection.all_turns()
    assert connection.transport.reads, "a turn later, when the last message has begun to be acted on"
    assert b"".join(connection.inner.pieces) == b"x" * (2 * PIECE + 1)


def test_requests_are_parsed_one_by_one() -> None:
    connection = Connection(HttpInner)
    one, two = b"GET /1 HTTP/1.1\r\n\r\n", b"POST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\n"
    connection.protocol.data_received(one + two + b"x" + one)
    connection.all_turns()
    assert connection.inner.pieces == [one, two, b"x", one]


def test_a_small_request_with_its_body_is_parsed_at_once() -> None:
    connection = Connection(HttpInner)
    request = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    connection.protocol.data_received(request)
    assert connection.inner.pieces == [request]
    assert connection.transport.reads


def test_a_head_is_parsed_at_once_however_long_it_is() -> None:
    connection = Connection(HttpInner)
    head = b"GET / HTTP/1.1\r\nCookie: " + b"x" * 60_000 + b"\r\n\r\n"
    connection.protocol.data_received(head + b"GET")
    connection.all_turns()
    assert connection.inner.pieces == [head, b"GET"]


@pytest.mark.parametrize("filling", [b"x", b"\r\n\r\n"])
def test_a_body_is_parsed_in_large_pieces_and_what_follows_is_another_request(filling: bytes) -> None:
    connection = Connection(HttpInner)
    size = 2 * LARGE_PIECE + 4 * len(filling)
    head = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % size
    connection.protocol.data_received(head + filling * (size // len(filling)) + b"GET / HTTP/1.1\r\n\r\n" * 2)
    connection.all_turns()
    sizes = [len(head), LARGE_PIECE, LARGE_PIECE, 4 * len(filling), 18, 18]
    assert [len(piece) for piece in connection.inner.pieces] == sizes


@pytest.mark.parametrize(
    "framing", [b"", b"Transfer-Encoding: chunked\r\nContent-Length: 50000\r\n", b"X-Content-Length: 50000\r\n"]
)
def test_no_more_than_a_request_is_parsed_where_no_length_says_that_a_body_follows(framing: bytes) -> None:
    connection = Connection(HttpInner)
    head = b"POST / HTTP/1.1\r\n" + framing + b"\r\n"
    connection.protocol.data_received(head + b"0\r\n\r\n" * 3)
    connection.all_turns()
    assert connection.inner.pieces == [head, *[b"0\r\n\r\n"] * 3]


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


@pytest.mark.parametrize(("unread", "parsed"), [(MAX_UNREAD, True), (MAX_UNREAD + 1, False)])
def test_no_frame_is_parsed_while_much_output_is_not_read(connection: Connection, unread: int, parsed: bool) -> None:
    connection.protocol.pause_writing()
    connection.transport.unread = unread
    connection.protocol.data_received(b"x")
    connection.all_turns()
    assert bool(connection.inner.pieces) == connection.transport.reads == parsed
    connection.protocol.resume_writing()
    connection.all_turns()
    assert connection.inner.pieces == [b"x"]
    assert connection.transport.reads
    assert connection.inner.told == ["pause writing", "resume writing"]


def test_a_request_s_body_is_parsed_though_the_answer_is_not_read() -> None:
    connection = Connection(HttpInner)
    connection.protocol.pause_writing()
    connection.transport.unread = MAX_UNREAD + 1
    connection.protocol.data_received(b"x")
    assert connection.inner.pieces == [b"x"]


def test_what_comes_after_uvicorn_has_closed_is_dropped(connection: Connection) -> None:
    connection.protocol.data_received(b"x" * 3 * PIECE)
    connection.inner.on_piece = lambda: setattr(connection.transport, "closing", True)
    connection.all_turns()
    assert len(connection.inner.pieces) == 1


def test_what_came_before_the_end_is_parsed_before_it_is_told(connection: Connection) -> None:
    """TLS: one read brings data and the end, and the transport closes at once."""
    connection.protocol.data_received(b"x" * 3 * PIECE)
    connection.protocol.eof_received()
    connection.transport.closing = True
    connection.turn()
    connection.protocol.connection_lost(None)
    assert connection.inner.told == []
    connection.inner.on_piece = lambda: connection.inner.transport.pause_reading()
    connection.all_turns()
    assert len(connection.inner.pieces) == 3
    assert connection.inner.told == ["eof", "lost"]


def test_an_end_without_anything_before_it_is_told_at_once(connection: Connection) -> None:
    connection.protocol.eof_received()
    connection.protocol.connection_lost(None)
    assert connection.inner.told == ["eof", "lost"]


def test_a_lost_connection_is_not_written_to(connection: Connection) -> None:
    connection.inner.transport.write(b"1")
    connection.protocol.data_received(b"x" * 2 * PIECE)
    connection.protocol.connection_lost(None)
    connection.inner.on_piece = lambda: connection.inner.transport.write(b"2")
    connection.all_turns()
    assert connection.transport.written == b"1"
    assert connection.inner.told == ["lost"]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_connection_whose_protocol_fails_is_dropped(connection: Connection, is_lost: bool) -> None:
    def fail() -> None:
        raise RuntimeError("a fault of the protocol")

    connection.inner.on_piece = fail
    connection.protocol.data_received(b"x" * 3 * PIECE)
    if is_lost:
        connection.protocol.connection_lost(None)
    connection.turn()
    assert connection.transport.aborted is not is_lost
    assert connection.inner.told == (["lost"] if is_lost else [])


def test_what_one_request_sets_is_not_seen_in_the_next(connection: Connection) -> None:
    seen = []

    def look() -> None:
        seen.append(USER.get())
        USER.set("ann")

    connection.inner.on_piece = look
    connection.protocol.data_received(b"x")
    USER.set("bob")
    connection.protocol.data_received(b"x" * 3 * PIECE)
    connection.all_turns()
    assert seen == ["nobody"] * 4


def a_config() -> Any:
    """Return what passes for the configuration of a uvicorn."""
    return type("Config", (), {"__module__": "uvicorn.config", "http_protocol_class": Inner})()


class Lifespan:
    """What uvicorn's ``receive`` is a method of."""

    def __init__(self, config: object) -> None:
        self.config = config

    async def receive(self) -> None: ...


async def test_uvicorn_is_made_fair_once_and_others_are_left_alone() -> None:
    config = a_config()
    for _ in range(2):
        make_uvicorn_fair(Lifespan(config).receive)
    made = config.http_protocol_class(greeting="hi")
    assert isinstance(made, FairProtocol)
    assert isinstance(made.inner, Inner)
    other = SimpleNamespace(http_protocol_class=Inner)
    make_uvicorn_fair(Lifespan(other).receive)
    make_uvicorn_fair(lambda: None)
    assert other.http_protocol_class is Inner


def test_each_loop_has_a_queue_of_its_own() -> None:
    config = a_config()
    make_uvicorn_fair(Lifespan(config).receive)

    async def serve() -> list[bytes]:
        fair = config.http_protocol_class()
        fair.connection_made(Transport())
        fair.data_received(b"x" * 2 * PIECE)
        await asyncio.sleep(0.01)
        return cast("Inner", fair.inner).pieces

    assert [len(asyncio.run(serve())) for _ in range(2)] == [2, 2]

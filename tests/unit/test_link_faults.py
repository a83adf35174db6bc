"""Faults in handling one message: the stream that all clients share stays open."""

from __future__ import annotations

import asyncio
import itertools
import socket

import pytest

from soundpost.backplane.hub_framing import Message, encode
from soundpost.backplane.hub_link import HubLink
from soundpost.backplane.hub_messages import Ping
from soundpost.backplane.redis.connection import RedisConnection
from soundpost.backplane.worker_messages import Pong


def receive(link: HubLink, data: bytearray) -> None:
    """Let bytes come over a link."""
    link.get_buffer(-1)[: len(data)] = data
    link.buffer_updated(len(data))


async def test_a_message_of_the_hub_that_fails_does_not_end_the_link(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[Message] = []

    def take(message: Message) -> None:
        taken.append(message)
        if len(taken) == 1:
            raise KeyError("a client's fault")

    receive(HubLink(take, lambda: None, clock=lambda: 0.0), encode(Ping()) + encode(Pong()))

    assert taken == [Ping(), Pong()]
    assert "could not be handled" in caplog.text


class Sink(asyncio.Transport):
    """A transport that notes whether it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


async def test_what_a_process_has_sent_before_it_ended_is_handled_to_the_end() -> None:
    """More than is handled in a loop turn: the rest is in the socket when the process has ended."""
    taken: list[Message] = []
    has_begun = asyncio.Event()

    def take(message: Message) -> None:
        taken.append(message)
        has_begun.set()

    ours, theirs = socket.socketpair()
    link = HubLink(take, lambda: None, clock=itertools.count().__next__)
    await asyncio.get_running_loop().create_connection(lambda: link, sock=ours)
    with theirs:
        theirs.sendall(encode(Ping()) * 500)
        await has_begun.wait()
        theirs.sendall(encode(Pong()) * 500)
    await link.ended.wait()
    assert taken == [Ping()] * 500 + [Pong()] * 500


async def test_an_answer_of_redis_that_fails_does_not_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[object] = []

    def fail(value: object) -> None:
        raise KeyError("a client's fault")

    def push(topic: bytes, data: bytes) -> None:
        raise KeyError("a client's fault")

    connection = RedisConnection(push, lambda lost: None, clock=lambda: 0.0)
    connection.connection_made(Sink())
    connection.send("PING", then=fail)
    connection.send("PING", then=answers.append)
    connection.data_received(b"+PONG\r\n>3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$1\r\nx\r\n+PONG\r\n")

    assert answers == [b"PONG"]
    assert caplog.text.count("could not be handled") == 2
    assert connection.fault == ""


async def test_very_many_messages_of_a_worker_do_not_stop_the_loop() -> None:
    taken: list[Message] = []
    transport = Sink()
    link = HubLink(taken.append, lambda: None, clock=iter(range(1_000)).__next__)  # each look takes a second
    link.connection_made(transport)
    receive(link, encode(Ping()) * 3)
    receive(link, encode(Pong()))
    assert (len(taken), transport.reads) == (1, False)
    await asyncio.sleep(0)
    assert (len(taken), transport.reads) == (2, False)
    for _ in range(2):
        await asyncio.sleep(0)
    assert transport.reads
    assert taken == [Ping(), Ping(), Ping(), Pong()]


async def test_what_a_lost_worker_has_sent_is_handled_before_it_is_forgotten() -> None:
    happened: list[Message | str] = []
    link = HubLink(happened.append, lambda: happened.append("lost"), clock=iter(range(1_000)).__next__)
    link.connection_made(Sink())
    receive(link, encode(Ping()) * 3)
    link.connection_lost(None)
    for handled in (1, 2):
        assert happened == [Ping()] * handled
        await asyncio.sleep(0)
    assert happened == [Ping(), Ping(), Ping(), "lost"]
    assert link.ended.is_set()


async def test_very_many_messages_of_redis_do_not_stop_the_loop() -> None:
    came: list[object] = []
    transport = Sink()
    connection = RedisConnection(
        lambda topic, data: came.append(data), lambda lost: came.append("lost"), clock=iter(range(1_000)).__next__
    )
    connection.connection_made(transport)
    connection.send("PING", then=came.append)
    connection.send("PING", then=lambda value: came.append(str(value)))
    connection.data_received(b">3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$1\r\nx\r\n" * 2)
    connection.data_received(b"+PONG\r\n")
    assert (came, transport.reads) == ([b"x"], False)
    await asyncio.sleep(0)
    assert came == [b"x", b"x"]
    for _ in range(2):
        await asyncio.sleep(0)
    assert (came, transport.reads) == ([b"x", b"x", b"PONG"], True)

    connection.send("PING", then=lambda value: came.append(str(value)))
    connection.data_received(b">3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$1\r\nx\r\n" * 2)
    connection.connection_lost(None)
    lost = "the connection to Redis was lost"
    expected = [b"x", b"x", lost, lost, lost, "lost"]
    connection.send("PING", then=lambda value: came.append(str(value)))  # behind those before
    for turn in range(1, 5):
        assert came[3:] == expected[:turn]
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert came[3:] == expected
    assert connection.ended.is_set()


async def test_a_large_answer_of_redis_is_not_read_on_in_the_same_loop_turn() -> None:
    """An event loop reads a socket many times in a turn while the buffer is filled each time."""
    came: list[bytes] = []
    transport = Sink()
    connection = RedisConnection(lambda topic, data: None, lambda lost: None, clock=lambda: 0.0)
    connection.connection_made(transport)
    connection.send("GET", "a", then=came.append)
    connection.data_received(b"$100000\r\n" + b"x" * 100_000 + b"\r\n")
    assert (came, transport.reads) == ([b"x" * 100_000], False)
    await asyncio.sleep(0)
    assert transport.reads

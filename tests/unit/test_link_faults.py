"""Faults in handling one message: the stream that all clients share stays open."""

from __future__ import annotations

import asyncio

import pytest

from soundpost.backplane.hub_link import HubLink
from soundpost.backplane.hub_messages import Message, Ping, Pong, encode
from soundpost.backplane.redis.connection import RedisConnection


async def test_a_message_of_the_hub_that_fails_does_not_end_the_link(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[Message] = []

    def take(message: Message) -> None:
        taken.append(message)
        if len(taken) == 1:
            raise KeyError("a client's fault")

    HubLink(take, lambda: None).data_received(encode(Ping()) + encode(Pong()))

    assert taken == [Ping(), Pong()]
    assert "could not be handled" in caplog.text


class Sink(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None: ...


async def test_an_answer_of_redis_that_fails_does_not_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[object] = []

    def fail(value: object) -> None:
        raise KeyError("a client's fault")

    def push(topic: bytes, data: bytes) -> None:
        raise KeyError("a client's fault")

    connection = RedisConnection(push, lambda lost: None)
    connection.connection_made(Sink())
    connection.send("PING", then=fail)
    connection.send("PING", then=answers.append)
    connection.data_received(b"+PONG\r\n>3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$1\r\nx\r\n+PONG\r\n")

    assert answers == [b"PONG"]
    assert caplog.text.count("could not be handled") == 2
    assert connection.fault == ""

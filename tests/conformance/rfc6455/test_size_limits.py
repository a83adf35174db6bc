"""RFC 6455, sections 7.4.1 and 10.4: what is too big is refused as soon as a header announces it."""

from __future__ import annotations

import pytest

from soundpost.errors import FrameError
from soundpost.wire.frames import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    TOO_BIG,
    FrameReader,
    Message,
    read_single,
)
from support.harness import RunningServer, client_frame, ping_message

LIMIT = 16_384  # max_message_size, if nothing else is configured
MAX_LENGTH = 65_536  # four times as much is read, and answered


@pytest.mark.parametrize("limit", [1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_exactly_the_limit_is_allowed(limit: int, opcode: int) -> None:
    assert list(FrameReader(limit).feed(client_frame(opcode, b"x" * limit))) == [Message(opcode, b"x" * limit)]


@pytest.mark.parametrize("limit", [1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_one_more_is_refused_at_its_header(limit: int, opcode: int) -> None:
    with pytest.raises(FrameError) as refusal:
        list(FrameReader(limit).feed(client_frame(opcode, length=limit + 1)))

    assert refusal.value.code == TOO_BIG
    assert read_single(client_frame(opcode, b"x" * (limit + 1)), limit) is None


@pytest.mark.parametrize("before", [[10], [4, 6], [10, 0, 0], [0, 0, 10]])
def test_fragments_count_together(before: list[int]) -> None:
    reader = FrameReader(10)
    for i, size in enumerate(before):
        assert list(reader.feed(client_frame(CONTINUATION if i else TEXT, b"x" * size, fin=False))) == []
    assert list(reader.feed(client_frame(PING, b"p" * 125))) == [Message(PING, b"p" * 125)]

    with pytest.raises(FrameError) as refusal:
        list(reader.feed(client_frame(CONTINUATION, length=1)))
    assert refusal.value.code == TOO_BIG


def test_every_message_has_the_whole_limit() -> None:
    data = client_frame(TEXT, b"x" * 10)
    reader = FrameReader(10)

    assert list(reader.feed(data * 3)) == [Message(TEXT, b"x" * 10)] * 3


def test_message_of_exactly_the_limit_is_answered(server: RunningServer) -> None:
    with server.connect() as client:
        client.send_frame(TEXT, ping_message(LIMIT))

        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("length", [MAX_LENGTH + 1, 100_000, 1 << 32, (1 << 63) - 1])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_too_big_a_message_closes_with_1009_before_it_comes(server: RunningServer, opcode: int, length: int) -> None:
    with server.connect() as client:
        client.send(client_frame(opcode, length=length))

        assert client.read_close_code() == TOO_BIG


@pytest.mark.parametrize("final", [True, False])
def test_too_big_a_sum_of_fragments_closes_with_1009_before_it_comes(server: RunningServer, final: bool) -> None:
    with server.connect() as client:
        client.send_frame(TEXT, b"x" * 6000, fin=False)
        client.send(client_frame(CONTINUATION, b"", fin=False) * 10)
        client.send_frame(PING, b"so far")
        assert client.read_frame()[1] == b"so far"
        client.send(client_frame(CONTINUATION, length=MAX_LENGTH - 6000 + 1, fin=final))

        assert client.read_close_code() == TOO_BIG


def test_fragments_of_exactly_the_limit_are_answered(server: RunningServer) -> None:
    message = ping_message(LIMIT)
    with server.connect() as client:
        client.send_frame(TEXT, message[:6000], fin=False)
        client.send_frame(CONTINUATION, message[6000:])

        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("size", [MAX_LENGTH + 1, 300_000, 8_000_000])
def test_sender_of_a_too_big_message_can_read_why(server: RunningServer, size: int) -> None:
    with server.connect() as client:
        client.send_frame(TEXT, b"x" * size)

        assert client.read_close_code() == TOO_BIG

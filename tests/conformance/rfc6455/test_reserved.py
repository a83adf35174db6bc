"""RFC 6455, section 5.2: reserved bits and opcodes end the connection, whatever frame they are on."""

from __future__ import annotations

import pytest

from soundpost.errors import FrameError
from soundpost.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    FrameReader,
    Message,
    read_single,
)
from support.harness import RunningServer, client_frame, ping_message

RESERVED_OPCODES = (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)


@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("bits", range(1, 8))
def test_reserved_bits_are_refused_at_the_frames_head(bits: int, opcode: int) -> None:
    frame = client_frame(opcode, b"", rsv=bits)

    assert read_single(frame, 100) is None
    with pytest.raises(FrameError) as refusal:
        list(FrameReader(100).feed(frame[:2]))
    assert refusal.value.code == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", RESERVED_OPCODES)
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("open_message", [True, False])
def test_reserved_opcodes_are_refused_at_the_frames_head(opcode: int, final: bool, open_message: bool) -> None:
    reader = FrameReader(100)
    if open_message:
        assert list(reader.feed(client_frame(TEXT, b"a", fin=False))) == []

    with pytest.raises(FrameError) as refusal:
        list(reader.feed(client_frame(opcode, b"payload", fin=final)[:2]))
    assert refusal.value.code == PROTOCOL_ERROR


def test_messages_before_the_refused_frame_are_read() -> None:
    reading = FrameReader(100).feed(client_frame(TEXT, b"a") + client_frame(PING, b"b") + client_frame(3))

    assert next(reading) == Message(TEXT, b"a")
    assert next(reading) == Message(PING, b"b")
    with pytest.raises(FrameError):
        next(reading)


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("together", [True, False], ids=["one packet", "two packets"])
def test_reserved_bits_close_with_1002_after_what_came_before(server: RunningServer, bits: int, together: bool) -> None:
    before, refused = client_frame(TEXT, ping_message()), client_frame(TEXT, ping_message(), rsv=bits)
    with server.connect() as client:
        if together:
            client.send(before + refused)
            assert client.read_event()["event"] == "pusher:pong"
        else:
            client.send(before)
            assert client.read_event()["event"] == "pusher:pong"
            client.send(refused)

        assert client.read_close_code() == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", RESERVED_OPCODES)
@pytest.mark.parametrize("payload", [b"", b"reserved"])
def test_reserved_opcodes_close_with_1002(server: RunningServer, opcode: int, payload: bytes) -> None:
    with server.connect() as client:
        client.send_frame(opcode, payload)
        client.send_frame(PING)

        assert client.read_close_code() == PROTOCOL_ERROR

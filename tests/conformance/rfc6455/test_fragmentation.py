"""RFC 6455, section 5.4: messages in several frames."""

from __future__ import annotations

import pytest

from soundpost.errors import FrameError
from soundpost.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PROTOCOL_ERROR,
    TEXT,
    UNSUPPORTED_DATA,
    FrameReader,
    Message,
)
from support.harness import RunningServer, client_frame, fragments, ping_message

PARTS: dict[str, list[bytes]] = {
    "two": [b"frag", b"mented"],
    "first empty": [b"", b"fragmented"],
    "last empty": [b"fragmented", b""],
    "all empty": [b"", b"", b""],
    "empty in the middle": [b"frag", b"", b"", b"mented"],
    "an octet each": [bytes([octet]) for octet in b"fragmented"],
    "long ones": [b"a" * 130, b"b" * 70_000, b"c"],
}


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("portion", [1, 3, 1_000_000], ids=["octets", "threes", "whole"])
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS.keys())
def test_fragments_become_one_message(parts: list[bytes], portion: int, opcode: int) -> None:
    reader, data = FrameReader(100_000), fragments(opcode, parts)

    read = [m for at in range(0, len(data), portion) for m in reader.feed(data[at : at + portion])]

    assert read == [Message(opcode, b"".join(parts))]
    assert reader.idle


def test_reader_is_not_idle_between_fragments() -> None:
    reader = FrameReader(100)

    assert list(reader.feed(client_frame(TEXT, b"", fin=False))) == []

    assert not reader.idle


@pytest.mark.parametrize("cuts", [(1,), (5, 5), (10, 15, 20), tuple(range(1, 23))])
@pytest.mark.parametrize("together", [True, False], ids=["one packet", "a packet each"])
def test_fragmented_message_is_answered_once(server: RunningServer, cuts: tuple[int, ...], together: bool) -> None:
    message = ping_message()
    parts = [message[a:b] for a, b in zip((0, *cuts), (*cuts, len(message)), strict=True)]
    data = fragments(TEXT, parts)
    with server.connect() as client:
        if together:
            client.send(data)
        else:
            at = 0
            for part in parts:
                client.send(data[at : at + 6 + len(part)])
                at += 6 + len(part)
        client.send_frame(PING, b"end")

        assert client.read_event()["event"] == "pusher:pong"
        assert client.read_frame()[1] == b"end"


WRONG_ORDER: dict[str, list[tuple[int, bool]]] = {
    "continuation of nothing": [(CONTINUATION, False)],
    "end of nothing": [(CONTINUATION, True)],
    "continuation after a whole message": [(TEXT, True), (CONTINUATION, True)],
    "continuation after a fragmented message": [(TEXT, False), (CONTINUATION, True), (CONTINUATION, True)],
    "text inside text": [(TEXT, False), (TEXT, True)],
    "text begun inside text": [(TEXT, False), (TEXT, False)],
    "text inside text, later": [(TEXT, False), (CONTINUATION, False), (TEXT, True)],
    "binary inside text": [(TEXT, False), (BINARY, True)],
    "text inside binary": [(BINARY, False), (TEXT, True)],
    "text inside text after a ping": [(TEXT, False), (PING, True), (TEXT, True)],
}


@pytest.mark.parametrize("frames", WRONG_ORDER.values(), ids=WRONG_ORDER.keys())
def test_frames_in_a_wrong_order_are_refused_at_the_last_ones_head(frames: list[tuple[int, bool]]) -> None:
    reader = FrameReader(100)
    *before, last = (client_frame(opcode, b"a", fin=final) for opcode, final in frames)
    for frame in before:
        list(reader.feed(frame))

    with pytest.raises(FrameError) as refusal:
        list(reader.feed(last[:2]))
    assert refusal.value.code == PROTOCOL_ERROR


@pytest.mark.parametrize("frames", WRONG_ORDER.values(), ids=WRONG_ORDER.keys())
def test_frames_in_a_wrong_order_close_with_1002(server: RunningServer, frames: list[tuple[int, bool]]) -> None:
    with server.connect() as client:
        client.send(b"".join(client_frame(opcode, b" ", fin=final) for opcode, final in frames))

        assert client.read_close_code() == PROTOCOL_ERROR


@pytest.mark.parametrize("parts", [[b"a", b"b"], [b"", b"", b"\xff"]])
def test_fragmented_binary_message_closes_with_1003(server: RunningServer, parts: list[bytes]) -> None:
    with server.connect() as client:
        client.send(fragments(BINARY, parts) + client_frame(CLOSE))

        assert client.read_close_code() == UNSUPPORTED_DATA


def test_close_between_fragments_ends_the_connection(server: RunningServer) -> None:
    with server.connect() as client:
        client.send_frame(TEXT, b"{", fin=False)
        client.send_frame(CLOSE, b"\x03\xe8")

        assert client.read_close_code() == 1000

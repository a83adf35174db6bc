"""RFC 6455, section 5.2: lengths, masks, and bytes that arrive in any portions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.errors import FrameError
from soundpost.wire import frames
from soundpost.wire.frames import FrameReader, Message, read_single
from support.harness import DEFAULT_APP, RunningServer, client_frame, ping_message, running_server

LENGTHS = (0, 1, 125, 126, 127, 128, 65535, 65536)
LIMIT = 100_000


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    app = AppSettings(id="1", key=DEFAULT_APP.key, secret=DEFAULT_APP.secret, max_message_size=LIMIT)
    with running_server(apps=[app]) as running:
        yield running


@pytest.mark.parametrize("opcode", [frames.TEXT, frames.BINARY])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("portion", [1, 7, LIMIT * 2], ids=["octets", "sevens", "whole"])
def test_message_of_every_length_form_is_read(opcode: int, length: int, portion: int) -> None:
    payload, reader = b"*" * length, FrameReader(LIMIT)
    data = client_frame(opcode, payload)

    read = [m for at in range(0, len(data), portion) for m in reader.feed(data[at : at + portion])]

    assert read == [Message(opcode, payload)]
    assert reader.idle


@pytest.mark.parametrize("length", LENGTHS[:-1])
def test_single_text_frame_is_read_without_a_reader(length: int) -> None:
    assert read_single(client_frame(frames.TEXT, b"x" * length), LIMIT) == b"x" * length


@pytest.mark.parametrize("length", LENGTHS)
def test_server_writes_the_shortest_length_form(length: int) -> None:
    frame = frames.text_frame(b"x" * length)

    longer_by = 0 if length < 126 else 2 if length < 65536 else 8
    assert frame == client_frame(frames.TEXT, b"x" * length, mask=None)
    assert len(frame) == 2 + longer_by + length


@pytest.mark.parametrize(("length", "length_bytes"), [(0, 2), (5, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)])
def test_longer_length_form_than_needed_is_read(length: int, length_bytes: int) -> None:
    frame = client_frame(frames.TEXT, b"x" * length, length_bytes=length_bytes)

    assert list(FrameReader(LIMIT).feed(frame)) == [Message(frames.TEXT, b"x" * length)]


@pytest.mark.parametrize("length", [1 << 63, (1 << 63) + 5, (1 << 64) - 1])
def test_length_with_its_highest_bit_is_refused(length: int) -> None:
    with pytest.raises(FrameError) as refusal:
        list(FrameReader(LIMIT).feed(client_frame(frames.TEXT, length=length)))

    assert refusal.value.code == frames.PROTOCOL_ERROR


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b'{"ev'])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 300])
def test_any_mask_is_taken_off(mask: bytes, length: int) -> None:
    payload = bytes(i % 128 for i in range(length))
    frame = client_frame(frames.TEXT, payload, mask=mask)

    assert read_single(frame, LIMIT) == payload
    assert list(FrameReader(LIMIT).feed(frame)) == [Message(frames.TEXT, payload)]


@pytest.mark.parametrize("size", [23, 125, 126, 127, 128, 65535, 65536, LIMIT])
def test_message_is_answered(server: RunningServer, size: int) -> None:
    with server.connect() as client:
        client.send_frame(frames.TEXT, ping_message(size))

        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("size", [23, 125, 126, 500])
def test_message_that_arrives_octet_by_octet_is_answered(server: RunningServer, size: int) -> None:
    with server.connect() as client:
        for octet in client_frame(frames.TEXT, ping_message(size)):
            client.send(bytes([octet]))

        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7, 8, 9, 60, 134])
def test_message_cut_anywhere_is_answered(server: RunningServer, at: int) -> None:
    frame = client_frame(frames.TEXT, ping_message(127))
    with server.connect() as client:
        client.send(frame[:at])
        client.send(frame[at:])

        assert client.read_event()["event"] == "pusher:pong"


def test_many_messages_in_one_packet_are_all_answered(server: RunningServer) -> None:
    with server.connect() as client:
        client.send(client_frame(frames.TEXT, ping_message()) * 200)

        assert [client.read_event()["event"] for _ in range(200)] == ["pusher:pong"] * 200


def test_whole_message_with_the_start_of_the_next(server: RunningServer) -> None:
    frame = client_frame(frames.TEXT, ping_message())
    with server.connect() as client:
        client.send(frame + frame[:10])
        assert client.read_event()["event"] == "pusher:pong"
        client.send(frame[10:] + frame)
        assert client.read_event()["event"] == "pusher:pong"
        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("payload", [b"", b"x", b"{}", b"\xef\xbb\xbf" + ping_message()])
def test_message_that_is_no_pusher_message_is_answered_with_an_error(server: RunningServer, payload: bytes) -> None:
    with server.connect() as client:
        client.send_frame(frames.TEXT, payload)

        assert client.read_event()["event"] == "pusher:error"
        client.send_frame(frames.TEXT, ping_message())
        assert client.read_event()["event"] == "pusher:pong"


@pytest.mark.parametrize("opcode", [frames.TEXT, frames.BINARY, frames.CLOSE, frames.PING, frames.PONG])
@pytest.mark.parametrize("payload", [b"", ping_message()])
def test_unmasked_frame_closes_with_1002(server: RunningServer, opcode: int, payload: bytes) -> None:
    with server.connect() as client:
        client.send_frame(opcode, payload, mask=None)

        assert client.read_close_code() == frames.PROTOCOL_ERROR


@pytest.mark.parametrize("payload", [b"", b"\0", bytes(range(256)), ping_message()])
def test_binary_message_closes_with_1003(server: RunningServer, payload: bytes) -> None:
    with server.connect() as client:
        client.send_frame(frames.BINARY, payload)
        client.send_frame(frames.CLOSE)

        assert client.read_close_code() == frames.UNSUPPORTED_DATA

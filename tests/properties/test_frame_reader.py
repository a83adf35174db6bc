"""However the bytes of a client are cut, they mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from soundpost.errors import FrameError
from soundpost.wire import frames
from soundpost.wire.frames import (
    FrameReader,
    Message,
    ReadSingle,
    Unmask,
    close_frame,
    encode_frame,
    parse_close,
    read_close,
    read_single,
    read_single_in_python,
    unmask,
    unmask_in_python,
)
from support.harness import client_frame, fragments

LIMIT = 300

masks = st.binary(min_size=4, max_size=4)
payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(lambda text: text.encode()),
    st.integers(100, 320).map(lambda size: b"x" * size),
)


@st.composite
def good_frames(draw: st.DrawFn) -> bytes:
    """Messages in one or more frames, and control frames."""
    kind = draw(st.sampled_from([frames.TEXT, frames.TEXT, frames.BINARY, frames.PING, frames.PONG, frames.CLOSE]))
    if kind >= frames.CLOSE:
        return client_frame(kind, draw(st.binary(max_size=125)), mask=draw(masks))
    if draw(st.booleans()):
        return client_frame(kind, draw(payloads), mask=draw(masks))
    return fragments(kind, draw(st.lists(payloads, min_size=1, max_size=4)))


@st.composite
def any_frames(draw: st.DrawFn) -> bytes:
    """A frame that may break any of the rules."""
    length_bytes = draw(st.sampled_from([None, None, 2, 8]))
    payload = draw(payloads)
    most = {None: 2**64 - 1, 2: 2**16 - 1, 8: 2**64 - 1}[length_bytes]
    return client_frame(
        draw(st.integers(0, 15)),
        payload,
        fin=draw(st.booleans()),
        rsv=draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 4, 7])),
        mask=draw(st.none() | masks),
        length=draw(st.none() | st.integers(0, most)),
        length_bytes=length_bytes,
    )


streams = st.one_of(
    st.lists(good_frames(), max_size=6).map(b"".join),
    st.lists(good_frames() | any_frames(), max_size=6).map(b"".join),
    st.binary(max_size=60),
    st.tuples(st.lists(good_frames(), max_size=3).map(b"".join), st.binary(max_size=30)).map(b"".join),
)
cuts = st.lists(st.integers(0, 2000), max_size=30)


def read(portions: Sequence[bytes], limit: int = LIMIT) -> tuple[list[Message], int | None, str, bool]:
    """The messages in it, the code and reason it was refused with, and whether the reader could go."""
    reader = FrameReader(limit)
    messages: list[Message] = []
    try:
        for portion in portions:
            for message in reader.feed(portion):
                messages.append(message)  # one by one: what came before an error counts
    except FrameError as error:
        return messages, error.code, error.reason, False
    return messages, None, "", reader.idle


@given(streams, cuts)
@settings(max_examples=1000)
def test_any_chunking_gives_the_same(data: bytes, at: list[int]) -> None:
    edges = sorted({0, len(data), *(cut for cut in at if cut < len(data))})
    portions = [data[start:end] for start, end in pairwise(edges)]

    whole = read([data])

    assert read(portions) == whole
    assert read([data[i : i + 1] for i in range(len(data))]) == whole


@given(streams)
@settings(max_examples=500)
def test_read_single_agrees_with_the_reader(data: bytes) -> None:
    payload = read_single(data, LIMIT)

    assert payload == read_single_in_python(data, LIMIT)
    if payload is not None:
        assert read([data]) == ([Message(frames.TEXT, payload)], None, "", True)


@pytest.mark.parametrize("read_one", dict.fromkeys([read_single_in_python, read_single]))
@given(payloads, masks, st.booleans())
@settings(max_examples=500)
@example(b"", b"abcd", True)
@example(b"x" * 126, b"abcd", False)
def test_read_single_takes_every_message_it_is_for(
    read_one: ReadSingle, payload: bytes, mask: bytes, tight: bool
) -> None:
    limit = len(payload) if tight else LIMIT
    frame = client_frame(frames.TEXT, payload, mask=mask)
    messages, code, _, idle = read([frame], limit)

    assert read_one(frame, limit) == (messages[0].payload if messages else None)
    assert (code is None) == bool(messages) == idle
    assert read_one(frame, 1 << 63) == read_one(frame, len(payload))
    assert read_one(frame + b"\x81", limit) is None
    assert read_one(frame[:-1], limit) is None


@given(streams | st.binary(max_size=130).map(lambda payload: client_frame(frames.CLOSE, payload)))
@settings(max_examples=500)
@example(client_frame(frames.CLOSE, b"x" * 125))
@example(client_frame(frames.CLOSE, b"x" * 126))
@example(client_frame(frames.CLOSE, b"x" * 133, length=5))
@example(client_frame(frames.CLOSE, b"", mask=None))
def test_read_close_takes_what_the_reader_takes_for_one_close_frame(data: bytes) -> None:
    messages, code, _, idle = read([data])
    is_one = idle and code is None and [message.opcode for message in messages] == [frames.CLOSE]

    assert read_close(data) == (messages[0].payload if is_one else None)


@given(st.lists(payloads, min_size=1, max_size=5), st.sampled_from([frames.TEXT, frames.BINARY]))
def test_fragments_round_trip(parts: list[bytes], opcode: int) -> None:
    messages, code, _, _ = read([fragments(opcode, parts)], 10_000)

    whole = b"".join(parts)
    if code is None:
        assert messages == [Message(opcode, whole)]
    else:
        assert (opcode, code) == (frames.TEXT, frames.INVALID_PAYLOAD)
        assert whole != whole.decode(errors="ignore").encode()


@pytest.mark.parametrize("xor", dict.fromkeys([unmask_in_python, unmask]))
@given(st.binary(max_size=300), masks)
def test_unmasking_twice_changes_nothing(xor: Unmask, payload: bytes, mask: bytes) -> None:
    assert xor(xor(payload, mask), mask) == payload
    assert xor(memoryview(payload), mask) == bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@given(
    st.sampled_from([frames.TEXT, frames.BINARY, frames.PING, frames.PONG]),
    st.binary(max_size=125) | st.integers(120, 70_000).map(bytes),
)
@settings(max_examples=200)
def test_another_implementation_reads_what_we_write(opcode: int, payload: bytes) -> None:
    if opcode >= frames.CLOSE:
        payload = payload[:125]
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)

    client.receive_data(encode_frame(opcode, payload))

    [frame] = client.events_received()
    assert isinstance(frame, Frame)
    assert (int(frame.opcode), bytes(frame.data), frame.fin) == (opcode, payload, True)


@given(st.integers(1000, 1003) | st.integers(3000, 4999), st.text(max_size=200))
def test_close_frames_round_trip(code: int, reason: str) -> None:
    frame = close_frame(code, reason)

    assert frame[1] <= 125
    read_code, read_reason = parse_close(frame[2:])
    assert read_code == code
    assert reason.startswith(read_reason)
    assert read_reason == reason or len(read_reason.encode()) > 119


@given(st.binary(max_size=125))
def test_close_payload_is_read_or_refused(payload: bytes) -> None:
    try:
        code, reason = parse_close(payload)
    except FrameError as error:
        refused_with = error.code
    else:
        assert close_frame(code, reason)[2:] == payload
        return
    assert refused_with in (frames.PROTOCOL_ERROR, frames.INVALID_PAYLOAD)

"""What a server sends, read by the load generator; and what its frames carry."""

from __future__ import annotations

import pytest

from soundpost.errors import FrameError
from soundpost.tools.bench.payload import event_data, is_notice, read_event
from soundpost.tools.bench.server_frames import ServerFrames, masked_frame
from soundpost.wire import messages
from soundpost.wire.frames import CLOSE, PING, TEXT, FrameReader, Message, encode_frame, frame_payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("chunk", [1, 3, 1_000, 10_000_000])
def test_frames_of_any_size_in_reads_of_any_size(size: int, chunk: int) -> None:
    if size > 1_000 and chunk < 1_000:
        chunk = 997
    sent = [Message(TEXT, b"a" * size), Message(PING, b"p"), Message(TEXT, b"b"), Message(CLOSE, b"\x03\xe8")]
    data = b"".join(encode_frame(*message) for message in sent)
    frames = ServerFrames()
    read = [message for start in range(0, len(data), chunk) for message in frames.feed(data[start : start + chunk])]
    assert read == sent
    assert frames.idle


def test_a_message_in_fragments_with_a_ping_between() -> None:
    frames = ServerFrames()
    assert frames.feed(b"\x01\x02ab") == []
    assert not frames.idle
    assert frames.feed(b"\x89\x00\x00\x01c") == [Message(PING, b"")]
    assert frames.feed(b"\x80\x01d") == [Message(TEXT, b"abcd")]
    assert frames.idle


@pytest.mark.parametrize("data", [b"\xc1\x00", b"\x81\x80\0\0\0\0", b"\x80\x00", b"\x01\x01a\x81\x01b"])
def test_what_a_server_must_not_send(data: bytes) -> None:
    with pytest.raises(FrameError):
        ServerFrames().feed(data)


@pytest.mark.parametrize("size", [0, 5, 126, 70_000])
def test_a_server_reads_what_is_masked(size: int) -> None:
    assert list(FrameReader(100_000).feed(masked_frame(TEXT, b"x" * size))) == [Message(TEXT, b"x" * size)]


@pytest.mark.parametrize("size", [64, 200, 10_000])
def test_an_event_is_found_in_the_server_s_message(size: int) -> None:
    data = event_data(3, 17, 1234567890, size)
    assert len(data) == size
    assert read_event(frame_payload(messages.event("bench", "c", data.decode()))) == (3, 17, 1234567890)


def test_the_largest_numbers_fit_the_smallest_event() -> None:
    data = event_data(999_999, 10**9, 2**63 - 1, 64)
    assert len(data) == 64
    assert read_event(b'"%b"' % data) == (999_999, 10**9, 2**63 - 1)


def test_first_arrivals_are_no_notices() -> None:
    def added(user: bytes) -> bytes:
        return frame_payload(messages.member_added("presence-c", b'"%b"' % user, b"null"))

    assert not is_notice(added(b"bench-12-0"))
    assert is_notice(added(b"bench-12-1"))
    assert is_notice(frame_payload(messages.member_removed("presence-c", b'"bench-12-0"')))
    assert not is_notice(frame_payload(messages.member_removed("presence-c", b'"bench-preflight"')))
    assert read_event(added(b"bench-12-1")) is None

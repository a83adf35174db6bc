"""permessage-deflate without context takeover: offers, frames, what comes in."""

from __future__ import annotations

import os
import zlib

import pytest

from soundpost.errors import FrameError
from soundpost.wire.compression import Deflater, accepts, unpack
from soundpost.wire.frames import BINARY, COMPRESSED, TEXT, Message, frame_payload, text_frame

LONG = b'{"event":"OrderPlaced","data":"' + b"rosin and bridge " * 200 + b'"}'


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def unpacked(frame: bytes) -> bytes:
    assert frame[0] == 0x80 | COMPRESSED | TEXT
    return unpack(Message(COMPRESSED | TEXT, frame_payload(frame)), 1_000_000).payload


@pytest.mark.parametrize(
    "offer",
    [
        b"permessage-deflate",
        b"permessage-deflate; client_max_window_bits",
        b"Permessage-Deflate; client_max_window_bits=12; server_no_context_takeover; client_no_context_takeover",
        b'permessage-deflate; server_max_window_bits="15"',
        b"x-webkit-deflate-frame, permessage-deflate",
        b"permessage-deflate; server_max_window_bits=10, permessage-deflate",
    ],
)
def test_an_offer_we_can_keep_is_accepted(offer: bytes) -> None:
    assert accepts(offer)


@pytest.mark.parametrize(
    "offer",
    [
        b"",
        b"permessage-bzip2",
        b"permessage-deflate; server_max_window_bits=10",
        b"permessage-deflate; server_max_window_bits",
        b"permessage-deflate; client_max_window_bits=16",
        b"permessage-deflate; client_max_window_bits=",
        b"permessage-deflate; server_no_context_takeover=1",
        b"permessage-deflate; mystery",
        b"permessage-deflate; client_max_window_bits; client_max_window_bits",
    ],
)
def test_an_offer_we_cannot_keep_is_declined(offer: bytes) -> None:
    assert not accepts(offer)


def test_each_frame_is_independent_of_those_before_it() -> None:
    deflater = Deflater(threshold=512)
    frames = [deflater.frame(text_frame(LONG + str(i).encode())) for i in range(5)]
    for i in (3, 0, 4):
        assert unpacked(frames[i]) == LONG + str(i).encode()
    assert deflater.frame(text_frame(LONG)) == deflater.frame(text_frame(LONG))


def test_short_frames_and_those_that_would_grow_stay_as_they_are() -> None:
    deflater = Deflater(threshold=512)
    for payload in (b"x" * 511, os.urandom(2000)):
        frame = text_frame(payload)
        assert deflater.frame(frame) is frame
    assert deflater.frame(text_frame(b"x" * 512)) != text_frame(b"x" * 512)


def test_what_comes_in_is_unpacked_up_to_the_limit_and_no_further() -> None:
    assert unpack(Message(COMPRESSED | TEXT, deflated(b"x" * 1000)), 1000) == (TEXT, b"x" * 1000)
    assert unpack(Message(COMPRESSED | BINARY, deflated(b"\xff")), 1000) == (BINARY, b"\xff")
    assert unpack(Message(COMPRESSED | TEXT, deflated(b"x" * 1000)), 2**63 - 1) == (TEXT, b"x" * 1000)
    bomb = deflated(bytes(50_000_000))
    with pytest.raises(FrameError) as caught:
        unpack(Message(COMPRESSED | TEXT, bomb), 10_000)
    assert caught.value.code == 1009


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", deflated(b"\xc3\x28"), deflated(b"\xed\xa0\x80")])
def test_what_is_no_compressed_text_ends_the_connection(payload: bytes) -> None:
    with pytest.raises(FrameError) as caught:
        unpack(Message(COMPRESSED | TEXT, payload), 1000)
    assert caught.value.code == 1007

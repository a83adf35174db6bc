"""permessage-deflate (RFC 7692) without context takeover on either side.

A message is compressed once for all clients that negotiated compression; a connection keeps no state between messages.
"""

from __future__ import annotations

import zlib
from typing import Final

from soundpost.errors import FrameError
from soundpost.wire.frames import COMPRESSED, INVALID_PAYLOAD, TEXT, TOO_BIG, Message, encode_frame, frame_payload

RESPONSE: Final = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
"""Value of ``Sec-WebSocket-Extensions`` that accepts an offer."""

_MAX_SIZE: Final = 2**31 - 2
"""Bytes that are unpacked at most, whatever the limit: zlib takes no larger number on every machine."""
_TAIL: Final = b"\x00\x00\xff\xff"
_FLAGS: Final = (b"server_no_context_takeover", b"client_no_context_takeover")


def accepts(offers: bytes) -> bool:
    """Return whether one of the offers in a ``Sec-WebSocket-Extensions`` header can be accepted as :data:`RESPONSE`."""
    return bool(offers) and any(_acceptable(offer) for offer in offers.split(b","))


def _acceptable(offer: bytes) -> bool:
    name, *parameters = (part.strip() for part in offer.split(b";"))
    if name.lower() != b"permessage-deflate":
        return False
    seen: set[bytes] = set()
    for parameter in parameters:
        key, _, value = parameter.partition(b"=")
        key, value = key.strip().lower(), value.strip().strip(b'"')
        if key in seen:
            return False
        seen.add(key)
        if key in _FLAGS:
            if b"=" in parameter:
                return False
        elif key == b"client_max_window_bits":
            if b"=" in parameter and not _is_window(value):
                return False
        elif key != b"server_max_window_bits" or value != b"15":
            return False  # a smaller window for one client would not fit the others
    return True


def _is_window(value: bytes) -> bool:
    return value in (b"8", b"9", b"10", b"11", b"12", b"13", b"14", b"15")


class Deflater:
    """A compressor of frames with at least ``threshold`` bytes of payload.

    One compressor serves all messages: a full flush makes each message independent of earlier ones, and a compressor
    for each message would take a quarter of a megabyte.
    """

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self._compressor = zlib.compressobj(level=1, wbits=-15)

    def frame(self, frame: bytes) -> bytes:
        """Return a text frame in compressed form; the frame itself if it is short or does not get smaller."""
        payload = frame_payload(frame)
        if len(payload) < self._threshold:
            return frame
        small = self._compressor.compress(payload) + self._compressor.flush(zlib.Z_FULL_FLUSH)
        small = small.removesuffix(_TAIL)
        return encode_frame(COMPRESSED | TEXT, small) if len(small) < len(payload) else frame


def unpack(message: Message, max_size: int) -> Message:
    """Return a compressed message with its plain payload.

    Raise FrameError: 1009 for more than ``max_size`` bytes (no more are ever unpacked), 1007 for bytes that are no
    compressed data, or for a text that is not UTF-8.
    """
    max_size = min(max_size, _MAX_SIZE)
    try:
        plain = zlib.decompressobj(-15).decompress(message.payload + _TAIL, max_size + 1)
    except zlib.error as error:
        raise FrameError(INVALID_PAYLOAD, f"not a compressed message: {error}") from None
    if len(plain) > max_size:
        raise FrameError(TOO_BIG, f"message over the limit of {max_size} bytes once unpacked")
    opcode = message.opcode - COMPRESSED
    if opcode == TEXT:
        try:
            plain.decode()
        except UnicodeDecodeError:
            raise FrameError(INVALID_PAYLOAD, "text that is not valid UTF-8") from None
    return Message(opcode, plain)

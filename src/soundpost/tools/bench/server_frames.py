"""WebSocket frames from a client's side (RFC 6455): a server's frames read, a client's frames masked. No I/O.

``wire.frames`` is the server's side: its reader insists on masks and is strict about what clients may do. The reader
here takes what a server sends, in reads of any size.
"""

from __future__ import annotations

import os
from struct import Struct
from typing import Final

from soundpost.client.pusher_socket import MAX_MESSAGE_SIZE
from soundpost.errors import FrameError
from soundpost.wire.frames import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    Message,
    encode_frame,
    unmask,
)

_UINT16: Final = Struct("!H").unpack_from
_UINT64: Final = Struct("!Q").unpack_from
_MAX_FRAGMENTS: Final = 10_000


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """Return one final frame, masked as clients must send it (RFC 6455, 5.3)."""
    frame = encode_frame(opcode, payload)
    head = len(frame) - len(payload)
    mask = os.urandom(4)
    return bytes((frame[0], frame[1] | 0x80)) + frame[2:head] + mask + unmask(payload, mask)


def masked_text(text: str) -> bytes:
    """Return a masked text message."""
    return masked_frame(TEXT, text.encode())


class ServerFrames:
    """Reader of a server's frames; an unfinished message waits for the next read."""

    __slots__ = ("_opcode", "_parts", "_rest", "_size")

    def __init__(self) -> None:
        self._rest = b""
        self._parts: list[bytes] = []  # of a message in several frames
        self._opcode = 0
        self._size = 0

    @property
    def idle(self) -> bool:
        """True if no message is unfinished."""
        return not self._rest and not self._opcode

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that ``data`` completes. Raises FrameError for frames that a server must not send."""
        if self._rest:
            data = self._rest + data
        messages: list[Message] = []
        position, size = 0, len(data)
        while size - position >= 2:
            start, length = _payload_at(data, position)
            if start + length > size or start > size:
                break
            message = self._frame(data[position], data[start : start + length])
            if message is not None:
                messages.append(message)
            position = start + length
        self._rest = data[position:]
        return messages

    def _frame(self, first: int, payload: bytes) -> Message | None:
        opcode = first & 0x0F
        if first & 0x70:
            raise FrameError(PROTOCOL_ERROR, "reserved bits set, though no extension was offered")
        if opcode in (CLOSE, PING, PONG):
            return Message(opcode, payload)
        if opcode == CONTINUATION:
            if not self._opcode:
                raise FrameError(PROTOCOL_ERROR, "continuation frame without a message to continue")
            self._parts.append(payload)
            self._size += len(payload)
            if len(self._parts) > _MAX_FRAGMENTS or self._size > MAX_MESSAGE_SIZE:
                raise FrameError(TOO_BIG, f"message of {self._size:,} bytes in {len(self._parts):,} frames")
        elif self._opcode:
            raise FrameError(PROTOCOL_ERROR, "new message before the last one was finished")
        elif first & 0x80:
            return Message(opcode, payload)
        else:
            self._opcode = opcode
            self._parts = [payload]
            self._size = len(payload)
        if not first & 0x80:
            return None
        message = Message(self._opcode, b"".join(self._parts))
        self._opcode, self._parts = 0, []
        return message


def _payload_at(data: bytes, position: int) -> tuple[int, int]:
    """Return start and length of the payload of the frame at ``position``; a start beyond the end means unknown."""
    length = data[position + 1]
    if length & 0x80:
        raise FrameError(PROTOCOL_ERROR, "masked frame from a server")
    if length < 126:
        return position + 2, length
    start = position + (4 if length == 126 else 10)
    if start > len(data):
        return start, 0
    length = (_UINT16 if length == 126 else _UINT64)(data, position + 2)[0]
    if length > MAX_MESSAGE_SIZE:
        raise FrameError(TOO_BIG, f"frame of {length} bytes")
    return start, length

"""RFC 6455 frames: encoding of a server's frames, and a reader of clients' frames. No I/O.

Almost every message of a Pusher client is one short, whole, masked text frame that arrives alone:
:func:`read_single` reads that case without state. All other cases (fragments, control frames, several
frames in one read, a frame in several reads) need a :class:`FrameReader`, which exists only while a message is
unfinished.
"""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final, NamedTuple

from soundpost.errors import FrameError

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
COMPRESSED: Final = 0x40
"""Bit added to the opcode of a compressed message: the first reserved bit (RFC 7692, 6)."""

NORMAL_CLOSURE: Final = 1000
PROTOCOL_ERROR: Final = 1002
UNSUPPORTED_DATA: Final = 1003
NO_STATUS: Final = 1005
INVALID_PAYLOAD: Final = 1007
TOO_BIG: Final = 1009

_MAX_CONTROL_PAYLOAD: Final = 125
_UINT16 = Struct("!H")
_UINT64 = Struct("!Q")
_HEADER64 = Struct("!BBQ")
Unmask = Callable[[bytes | bytearray | memoryview, bytes], bytes]
ReadSingle = Callable[[bytes, int], bytes | None]
_NOT_UTF8: Final = "text that is not valid UTF-8"
_Utf8Decoder = codecs.getincrementaldecoder("utf-8")
_SHORT_TEXT_HEADERS: Final = [bytes((0x80 | TEXT, length)) for length in range(126)]
"""Headers of text frames by the length of their payload. Measured: a frame takes 190 instructions with a kept header,
1,220 with a new one."""


class Message(NamedTuple):
    """A whole message or control frame: ``opcode`` TEXT, BINARY, PING, PONG or CLOSE, and its unmasked payload.

    A compressed message has COMPRESSED added to its opcode; its payload must still be unpacked and checked.
    """

    opcode: int
    payload: bytes


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Return one final, unmasked frame, as servers send them (RFC 6455, 5.2)."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65536:
        return ((0x80 | opcode) << 24 | 126 << 16 | length).to_bytes(4, "big") + payload
    return _HEADER64.pack(0x80 | opcode, 127, length) + payload


def text_frame(payload: bytes) -> bytes:
    """Return a text frame around a payload in UTF-8."""
    length = len(payload)
    return _SHORT_TEXT_HEADERS[length] + payload if length < 126 else encode_frame(TEXT, payload)


def frame_payload(frame: bytes) -> bytes:
    """Return the payload of a frame that :func:`encode_frame` made."""
    length = frame[1]
    return frame[2 if length < 126 else 4 if length == 126 else 10 :]


def with_end(frame: bytes, end: bytes) -> bytes:
    """Return the text frame that :func:`text_frame` made with another end in place of its last byte."""
    length = frame[1]
    return encode_frame(TEXT, frame[2 if length < 126 else 4 if length == 126 else 10 : -1] + end)


def frame_payloads(data: bytes) -> Iterator[bytes]:
    """Yield the payloads of joined frames that :func:`encode_frame` made."""
    position = 0
    while position < len(data):
        length, start = data[position + 1], position + 2
        if length == 126:
            (length,) = _UINT16.unpack_from(data, start)
            start += 2
        elif length == 127:
            (length,) = _UINT64.unpack_from(data, start)
            start += 8
        position = start + length
        yield data[start:position]


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; the reason is cut to the 123 bytes that fit, between two characters."""
    if code == NO_STATUS:
        return encode_frame(CLOSE, b"")
    fitting = reason.encode(errors="replace")[: _MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore").encode()
    return encode_frame(CLOSE, _UINT16.pack(code) + fitting)


def unmask_in_python(payload: bytes | bytearray | memoryview, mask: bytes) -> bytes:
    """Return ``payload`` XOR the repeated four-byte ``mask``, as one big integer: the fastest way in pure Python."""
    length = len(payload)
    key = (mask * (length + 3 >> 2))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(length, "little")


def read_single_in_python(data: bytes, max_message_size: int) -> bytes | None:
    """Return the payload if ``data`` is exactly one whole unfragmented masked text frame of valid UTF-8; else None."""
    size = len(data)
    if size < 6 or data[0] != 0x81:
        return None
    length = data[1]
    if 0x80 <= length < 0xFE:
        length &= 0x7F
        start = 2
    elif length == 0xFE and size >= 8:
        length = data[2] << 8 | data[3]
        start = 4
    else:
        return None
    if size != start + 4 + length or length > max_message_size:
        return None
    payload = unmask(data[start + 4 :], data[start : start + 4])
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return None  # the reader finds the fault again and names it
    return payload


unmask: Unmask = unmask_in_python
read_single: ReadSingle = read_single_in_python
with contextlib.suppress(ImportError):
    from soundpost.wire import _frames

    unmask = _frames.unmask
    read_single = _frames.read_single


def read_close(data: bytes) -> bytes | None:
    """Return the payload if ``data`` is exactly one whole masked close frame; else None.

    Nearly every client that says goodbye sends this alone. Measured: a sixth of the time that a FrameReader takes.
    """
    size = len(data)
    if size < 6 or data[0] != 0x80 | CLOSE or data[1] != 0x80 | size - 6 or size - 6 > _MAX_CONTROL_PAYLOAD:
        return None
    return unmask(data[6:], data[2:6])


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame's payload; 1005 for an empty one (RFC 6455, 5.5.1 and 7.4).

    Raise FrameError 1002 for a code that must not be on the wire, 1007 for a reason that is not UTF-8.
    """
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        raise FrameError(PROTOCOL_ERROR, "close frame with half a code")
    code: int = _UINT16.unpack_from(payload)[0]
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise FrameError(PROTOCOL_ERROR, f"close code {code} must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(INVALID_PAYLOAD, "close reason is not valid UTF-8") from None


_NO_FRAME: Final = -1
"""Value of ``FrameReader._left`` between two frames: a header comes next."""


class FrameReader:
    """A reader of one client's bytes; raises FrameError at the first byte that breaks a rule.

    Text is checked as it arrives, so a bad byte ends the connection before the frame is complete. Sizes are checked
    when a header announces them, before any payload is buffered. With ``compressed`` messages may be compressed.
    """

    __slots__ = (
        "_compressed",
        "_control",
        "_final",
        "_header",
        "_left",
        "_length",
        "_mask",
        "_max_message_size",
        "_message",
        "_message_opcode",
        "_opcode",
        "_utf8",
    )

    def __init__(self, max_message_size: int, compressed: bool = False) -> None:
        self._max_message_size = max_message_size
        self._compressed = compressed
        self._header = bytearray()  # bytes of an unfinished header
        self._left = _NO_FRAME  # payload bytes of the current frame still to come
        self._length = 0  # bytes of the current frame's payload
        self._opcode = 0
        self._final = False
        self._mask = b""
        self._control = bytearray()
        self._message = bytearray()
        self._message_opcode = 0  # 0: no data message is open
        self._utf8 = _Utf8Decoder()

    @property
    def idle(self) -> bool:
        """True if no message is unfinished, so that the reader may be dropped."""
        return self._left == _NO_FRAME and not self._header and not self._message_opcode

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that ``data`` completes."""
        for read in self.frames(data):  # no generator expression: mypyc makes a list of that, and reads on too early
            if isinstance(read, Message):
                yield read

    def frames(self, data: bytes) -> Iterator[Message | int]:
        """Yield a message for each frame in ``data`` that ends one, and the size in bytes of every other fragment.

        A caller may pause between two frames, as each frame is work.
        """
        position, size = 0, len(data)
        while True:
            if self._left == _NO_FRAME:
                position = self._read_header(data, position)
                if self._left == _NO_FRAME:
                    return
            take = min(self._left, size - position)
            if take:
                self._take(data[position : position + take])
                position += take
            if self._left:
                return
            self._left = _NO_FRAME
            yield self._finish_frame()
            if position == size:
                return

    def _read_header(self, data: bytes, position: int) -> int:
        """Read up to the end of a header; return the position after it."""
        header = self._header
        need = 2
        while True:
            missing = need - len(header)
            if missing > 0:
                header += data[position : position + missing]
                position = min(position + missing, len(data))
                if len(header) < need:
                    return position
            if need == 2:
                self._check_first_bytes(header[0], header[1])
                short = header[1] & 0x7F
                need = 6 + (2 if short == 126 else 8 if short == 127 else 0)
                continue
            self._start_frame(bytes(header))
            header.clear()
            return position

    def _check_first_bytes(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70 and not (self._compressed and first & 0x70 == COMPRESSED and opcode in (TEXT, BINARY)):
            raise FrameError(PROTOCOL_ERROR, "reserved bits set without an extension")
        final = bool(first & 0x80)
        if opcode in (CLOSE, PING, PONG):
            if not final:
                raise FrameError(PROTOCOL_ERROR, "fragmented control frame")
            if second & 0x7F > _MAX_CONTROL_PAYLOAD:
                raise FrameError(PROTOCOL_ERROR, "control frame over 125 bytes")
        elif opcode == CONTINUATION:
            if not self._message_opcode:
                raise FrameError(PROTOCOL_ERROR, "continuation frame without a message to continue")
        elif opcode in (TEXT, BINARY):
            if self._message_opcode:
                raise FrameError(PROTOCOL_ERROR, "new message before the last one was finished")
        else:
            raise FrameError(PROTOCOL_ERROR, f"unknown opcode {opcode}")
        if not second & 0x80:
            raise FrameError(PROTOCOL_ERROR, "client frame without a mask")

    def _start_frame(self, header: bytes) -> None:
        length = header[1] & 0x7F
        if length == 126:
            length = _UINT16.unpack_from(header, 2)[0]
        elif length == 127:
            length = _UINT64.unpack_from(header, 2)[0]
            if length >> 63:
                raise FrameError(PROTOCOL_ERROR, "frame length with its highest bit set")
        self._opcode = header[0] & 0x0F
        self._final = bool(header[0] & 0x80)
        if self._opcode < CLOSE:
            if len(self._message) + length > self._max_message_size:
                raise FrameError(TOO_BIG, f"message over the limit of {self._max_message_size} bytes")
            if self._opcode != CONTINUATION:
                self._message_opcode = header[0] & (COMPRESSED | 0x0F)
        self._mask = header[-4:]
        self._length = self._left = length

    def _take(self, chunk: bytes) -> None:
        """Unmask and buffer a part of the current frame's payload."""
        plain = unmask(chunk, self._mask)
        turn = len(chunk) & 3
        self._mask = self._mask[turn:] + self._mask[:turn]
        self._left -= len(chunk)
        if self._opcode >= CLOSE:
            self._control += plain
            return
        self._message += plain
        if self._message_opcode == TEXT:
            self._check_text(plain, last=False)

    def _check_text(self, plain: bytes, *, last: bool) -> None:
        try:
            self._utf8.decode(plain, last)
        except UnicodeDecodeError:
            raise FrameError(INVALID_PAYLOAD, _NOT_UTF8) from None
        # Python's decoder waits for the third byte of a surrogate, though its second cannot be part of any text.
        unfinished = self._utf8.getstate()[0]
        if len(unfinished) == 2 and unfinished[0] == 0xED and unfinished[1] > 0x9F:
            raise FrameError(INVALID_PAYLOAD, _NOT_UTF8)

    def _finish_frame(self) -> Message | int:
        if self._opcode >= CLOSE:
            payload = bytes(self._control)
            self._control.clear()
            return Message(self._opcode, payload)
        if not self._final:
            return self._length
        opcode, self._message_opcode = self._message_opcode, 0
        if opcode == TEXT:
            self._check_text(b"", last=True)
        payload = bytes(self._message)
        self._message = bytearray()
        return Message(opcode, payload)

"""A WebSocket connection of a client of the benchmarks: small frames, masked with zeros."""

from __future__ import annotations

import asyncio
from typing import cast

TEXT, CLOSE = 0x81, 0x88
_UPGRADE = (
    b"GET /app/app-key?protocol=7&client=crowd&version=1.0 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_PONG = b'{"event":"pusher:pong","data":{}}'


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame of a client, of less than 65,536 bytes."""
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes((opcode,)) + size + b"\0\0\0\0" + payload


class Connection(asyncio.Protocol):
    """Reads messages, answers pings and close frames."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._buffer = b""
        self._is_open = self._over = False

    def take(self, payload: bytes) -> None:
        """Take a message."""
        raise NotImplementedError

    def ended(self, code: int, refusal: str) -> None:
        """Take the end: the code of the server's close frame, or why there was none."""
        raise NotImplementedError

    def send(self, payload: bytes) -> None:
        """Send a message."""
        self._transport.write(frame(TEXT, payload))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not self._is_open:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                self._buffer = data
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._end(0, head.partition(b"\r\n")[0].decode("latin-1"))
                return
            self._is_open, data = True, rest
        at, size = 0, len(data)
        while size - at >= 2:
            begin, length = at + 2, data[at + 1]
            if length == 126:
                begin, length = at + 4, int.from_bytes(data[at + 2 : at + 4], "big")
            elif length == 127:
                begin, length = at + 10, int.from_bytes(data[at + 2 : at + 10], "big")
            if size < begin + length:
                break
            self._receive(data[at], data[begin : begin + length])
            at = begin + length
        self._buffer = data[at:]

    def _receive(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._transport.write(frame(CLOSE, payload[:2]))
            self._end(int.from_bytes(payload[:2], "big"), "")
        elif b'"pusher:ping"' in payload[:40]:
            self.send(_PONG)
        else:
            self.take(payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(0, "cut off")

    def _end(self, code: int, refusal: str) -> None:
        if not self._over:
            self._over = True
            self._transport.close()
            self.ended(code, refusal)

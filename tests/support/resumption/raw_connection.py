"""One WebSocket connection of a raw client, from the handshake to its end."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import Any, Final, Protocol, cast

from soundpost.errors import FrameError
from soundpost.tools.bench.server_frames import ServerFrames, masked_frame, masked_text
from soundpost.wire.frames import CLOSE, PING, PONG, Message, parse_close

_PING: Final = masked_text('{"event":"pusher:ping","data":{}}')


class Page(Protocol):
    """What has the connection."""

    def opened(self, connection: Connection) -> None:
        """A connection is there."""

    def take(self, connection: Connection, payload: bytes) -> None:
        """A text message has come."""

    def ended(self, connection: Connection, how: str) -> None:
        """A connection is over."""


class Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, client: Page, key: str) -> None:
        self.ended = asyncio.Event()
        self.code = 0
        self.socket_id = ""
        self.was_subscribed = False
        self.left: set[str] = set()
        """Channels that were unsubscribed from: their events may still be on the way."""
        self._client = client
        self._key = key
        self._head: bytes | None = b""
        self._reader = ServerFrames()
        self._transport: asyncio.Transport | None = None
        self._heard_at = time.monotonic()
        self._pinged = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(
            f"GET /app/{self._key}?protocol=7&client=raw&version=1.0 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._client.opened(self)

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        self._pinged = False
        if self._head is not None:
            self._head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                return
            if not self._head.startswith(b"HTTP/1.1 101 "):
                self.abort()
                return
            self._head = None
        try:
            for message in self._reader.feed(data):
                self._take(message)
        except FrameError:
            self.abort()

    def _take(self, message: Message) -> None:
        if message.opcode == PING:
            self.send(masked_frame(PONG, message.payload))
        elif message.opcode == CLOSE:
            self.code = parse_close(message.payload)[0]
            self.send(masked_frame(CLOSE, message.payload[:2]))
            if self._transport is not None:
                self._transport.close()
        elif not self.code:
            self._client.take(self, message.payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._client.ended(self, f"closed with {self.code}" if self.code else "cut off")
        self.ended.set()

    def look_after(self, activity_timeout: float) -> None:
        silence = time.monotonic() - self._heard_at
        if self._transport is not None and self._transport.is_reading() and silence > activity_timeout:
            if self._pinged and silence > 2 * activity_timeout:
                self.abort()
            elif not self._pinged:
                self._pinged = True
                self.send(_PING)

    def read(self, reading: bool) -> None:
        if self._transport is not None and self._transport.is_reading() is not reading:
            (self._transport.resume_reading if reading else self._transport.pause_reading)()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def send_event(self, event: str, data: dict[str, Any]) -> None:
        self.send(masked_text(json.dumps({"event": event, "data": data})))

    def send(self, frame: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)


async def connected(port: int, receive_buffer: int) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return sock

"""Connection of a load test: handshake, subscription, then as little work per event as possible.

The ``websockets`` library is too slow to tell a server's latency from its own with thousands of connections: a bare
protocol takes a tenth of its time per event.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from typing import Final, cast
from urllib.parse import urlsplit

from soundpost.client.address import socket_url
from soundpost.client.authorization import ChannelAuth, with_secret
from soundpost.client.incoming import Frame, decode_frame
from soundpost.client.pusher_socket import NO_CLOSE_FRAME, error_code, text_of
from soundpost.errors import FrameError
from soundpost.tools.bench.error_counts import code_in_words
from soundpost.tools.bench.messages import Endpoint
from soundpost.tools.bench.payload import user_id
from soundpost.tools.bench.sequences import Sequences
from soundpost.tools.bench.server_frames import ServerFrames, masked_frame, masked_text
from soundpost.tools.bench.tally import Tally
from soundpost.wire import socket_id as socket_ids
from soundpost.wire.frames import (
    CLOSE,
    NORMAL_CLOSURE,
    PING,
    PONG,
    TEXT,
    Message,
    close_frame,
    frame_payload,
    parse_close,
)
from soundpost.wire.json_text import encode

_MAX_HEAD: Final = 16_384
_MAX_UNSENT: Final = 1_048_576
_PING: Final = '{"event":"pusher:ping","data":{}}'
_PONG: Final = '{"event":"pusher:pong","data":{}}'


class SubscribeFailedError(Exception):
    """Connection that could not subscribe: ``kind`` of the error, and the server's text as ``example``."""

    def __init__(self, kind: str, example: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.example = example


def upgrade_request(endpoint: Endpoint) -> bytes:
    """Return the opening handshake (RFC 6455, 4.1), without extensions."""
    url = urlsplit(socket_url(endpoint.base_url, endpoint.key))
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nUser-Agent: soundpost-bench\r\n\r\n"
    ).encode()


class BenchClient(asyncio.Protocol):
    """Connection ``number`` of a run.

    ``ready`` is done once ``channel`` is subscribed to, and raises SubscribeFailedError otherwise.
    """

    def __init__(
        self, tally: Tally, endpoint: Endpoint, request: bytes, number: int, channel: str, *, passing: bool
    ) -> None:
        self.number = number
        self.channel = channel
        self.sequences = Sequences(from_start=not passing)
        self.passing = passing
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.notices = 0
        self.pinged_at = 0
        self._tally = tally
        self._endpoint = endpoint
        self._request = request
        self._transport: asyncio.Transport | None = None
        self._head: bytes | None = b""  # of the handshake's answer, while it is awaited
        self._frames = ServerFrames()
        self._socket_id = ""
        self._stay = 0
        self._code: int | None = None
        self._reason = ""
        self._leaving = False

    @property
    def is_open(self) -> bool:
        """True if the connection has subscribed and is still open."""
        return self.ready.done() and not self.ready.cancelled() and not self.closed.done() and self._code is None

    def unsubscribe(self) -> None:
        """Unsubscribe from the channel."""
        self._send_text(_message("pusher:unsubscribe", {"channel": self.channel}))

    def resubscribe(self) -> None:
        """Subscribe again as another user; ``ready`` becomes a new future."""
        self._stay += 1
        self.ready = asyncio.get_running_loop().create_future()
        self._subscribe()

    def ping(self) -> None:
        """Send a ``pusher:ping``, and note the time."""
        self.pinged_at = time.monotonic_ns()
        self._send_text(_PING)

    def close(self) -> None:
        """Send a close frame; the server closes the connection."""
        self._leaving = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(masked_frame(CLOSE, frame_payload(close_frame(NORMAL_CLOSURE))))

    def abort(self) -> None:
        """Close the connection at once."""
        self._leaving = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the opening handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop has classes of its own
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count events, and handle the rare rest."""
        now = time.monotonic_ns()
        tally = self._tally
        # An event comes to all connections of a process in the same bytes: they are read once.
        if data == tally.last_chunk and self._head is None and self._frames.idle:
            tally.count(self, now)
            return
        try:
            self._read(data, now)
        except FrameError as error:
            self._fail(f"frame: {error}")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Record the loss, unless this side closed the connection."""
        if not self._leaving:
            code = NO_CLOSE_FRAME if self._code is None else self._code
            is_counted = self._fail(f"closed by the server: {code_in_words(code)}", self._reason or str(exc or ""))
            if is_counted:
                self._tally.dropped += 1
        elif not self.ready.done():
            self.ready.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    def _read(self, data: bytes, now: int) -> None:
        if self._head is not None:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0 and len(self._head) <= _MAX_HEAD:
                return
            head, data = self._head[:end], self._head[end + 4 :]
            if not head.startswith(b"HTTP/1.1 101"):
                status = head.split(b"\r\n", 1)[0].decode(errors="replace")
                self._fail(f"handshake: {status}", data.decode(errors="replace"))
                self.abort()
                return
            self._head = None
        whole = self._frames.idle
        messages = self._frames.feed(data)
        tally = self._tally
        if messages and tally.parse(messages):
            if whole and self._frames.idle:
                tally.last_chunk = data
            tally.count(self, now)
            return
        for message in messages:
            if tally.parse([message]):
                tally.count(self, now)
            else:
                self._handle_message(message, now)

    def _handle_message(self, message: Message, now: int) -> None:
        if message.opcode == TEXT:
            frame = decode_frame(message.payload)
            if frame is not None:
                self._handle_frame(frame, now)
        elif message.opcode == PING:
            self._send(masked_frame(PONG, message.payload))
        elif message.opcode == CLOSE:
            self._code, self._reason = parse_close(message.payload)
            if self._transport is not None:
                self._send(masked_frame(CLOSE, message.payload[:2]))
                self._transport.close()

    def _handle_frame(self, frame: Frame, now: int) -> None:
        if frame.event == "pusher:ping":
            self._send_text(_PONG)
        elif frame.event == "pusher:pong":
            if self.pinged_at:
                self._tally.pong(now - self.pinged_at)
                self.pinged_at = 0
        elif frame.event == "pusher:connection_established":
            socket_id = text_of(frame.content(), "socket_id")
            wrong = socket_ids.fault(socket_id)
            if wrong is None:
                self._socket_id = socket_id
                self._subscribe()
            else:
                self._fail("a hello with a bad socket id", wrong)
        elif frame.event == "pusher_internal:subscription_succeeded":
            if self._stay:
                # Events before this message belong to the subscription before: a connection receives in order.
                self._tally.end_subscription(self)
                self.sequences = Sequences(from_start=False)
            if not self.ready.done():
                self.ready.set_result(None)
        elif frame.event in ("pusher:error", "pusher:subscription_error"):
            content = frame.content()
            if frame.event == "pusher:error":
                what = code_in_words(error_code(content))
            else:
                status = content.get("status")
                what = str(status) if isinstance(status, int) and 0 < status < 1000 else ""
            self._fail(f"{frame.event} {what}".rstrip(), text_of(content, "message") or text_of(content, "error"))

    def _fail(self, kind: str, example: str = "") -> bool:
        """Fail ``ready``, or count an error once ``ready`` is done. Return True if an error was counted."""
        if not self.ready.done():
            self.ready.set_exception(SubscribeFailedError(kind, example))
            return False
        if self.ready.cancelled() or self.ready.exception() is not None:
            return False  # the first failure was reported already
        self._tally.error_counts.add(kind, example)
        return True

    def _subscribe(self) -> None:
        authorize = with_secret(self._endpoint.key, self._endpoint.secret, user_id=user_id(self.number, self._stay))
        auth = authorize(self._socket_id, self.channel)
        data = {"channel": self.channel}
        if isinstance(auth, ChannelAuth):
            data["auth"] = auth.auth
            if auth.channel_data is not None:
                data["channel_data"] = auth.channel_data
        self._send_text(_message("pusher:subscribe", data))

    def _send_text(self, text: str) -> None:
        self._send(masked_text(text))

    def _send(self, frame: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(frame)
        if self._transport.get_write_buffer_size() > _MAX_UNSENT:
            self._fail("the server sends pings and does not read the answers")
            self.abort()


def _message(event: str, data: dict[str, str]) -> str:
    return encode({"event": event, "data": data}).decode()

"""A client's WebSocket over ASGI: whole messages in and out, through awaitables.

Each connection has a queue of messages to send and, while the queue is not empty, a task that sends them, so that a
client that reads slowly holds up no other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from soundpost.core import liveness, oversized, protocol, resumption
from soundpost.core.connection import Connection
from soundpost.server.connections.fair_queue import SLICE
from soundpost.server.runtime import Runtime
from soundpost.wire import codes, frames, messages
from soundpost.wire.frames import frame_payloads

if TYPE_CHECKING:
    from soundpost.core.app import App

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Message], Awaitable[None]]

MAX_REASON: Final = 123
"""Bytes of a close frame's reason (RFC 6455, 5.5)."""
_QUEUED: Final = 128
"""Bytes that a message in the queue takes besides its text."""


class AsgiConnection(Connection):
    """A client's WebSocket connection, served by an ASGI server."""

    __slots__ = (
        "_address",
        "_cancelled",
        "_close_message",
        "_closing",
        "_runtime",
        "_send",
        "_task",
        "_waiting",
        "_waiting_bytes",
        "_writer",
        "last_seen",
        "pinged_at",
        "slot",
    )

    def __init__(self, app: App, runtime: Runtime, send: Send, address: str) -> None:
        super().__init__(app)
        self._runtime = runtime
        self._address = address
        self._send = send
        self._waiting: deque[tuple[str, int]] = deque()  # texts, each with its size in bytes
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._closing = False
        self._close_message: Message | None = None
        self._cancelled = False
        self.last_seen = runtime.wheel.now
        self.pinged_at = -1
        self.slot = -1

    async def serve(self, receive: Receive) -> None:
        """Greet the client, then act on its messages until one side closes. The handshake must be done."""
        self._task = asyncio.current_task()
        self._runtime.wheel.add(self, self.app.ping_after)
        try:
            self.app.node.opened(self)
            if self._runtime.stopping:
                self._runtime.close_for_reconnect(self)
            left = SLICE
            while not self._closing:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    self._leave(message.get("code"))
                    break
                self._handle(message)
                left -= 1
                if not left:  # input that has come already is received without a pause
                    left = SLICE
                    await asyncio.sleep(0)
            if self._writer is not None:
                await asyncio.wait([self._writer], timeout=self._runtime.close_timeout)
        except asyncio.CancelledError:
            if not self._cancelled or self._task is None or self._task.uncancel():
                raise
        finally:
            self._runtime.wheel.remove(self)
            self._leave()
            if self._writer is not None:
                self._writer.cancel()

    def _handle(self, message: Message) -> None:
        self.last_seen = self._runtime.wheel.now
        text = message.get("text")
        if text is None:
            self.close(frames.UNSUPPORTED_DATA, "Binary messages are not supported: send text")
            return
        payload = text.encode(errors="surrogatepass")
        if len(payload) <= self.app.max_message_size:
            protocol.receive(self, payload)
        elif len(payload) <= oversized.most_read(self.app.settings):
            oversized.refuse(self, payload)
        else:
            self.close(frames.TOO_BIG, oversized.close_reason(self))

    # Writing

    def write(self, data: bytes) -> None:
        """Send whole frames, in order; close a client for which too much waits with 4100."""
        self.write_texts([(payload.decode(), len(payload)) for payload in frame_payloads(data)])

    def write_texts(self, texts: Iterable[tuple[str, int]]) -> None:
        """Send texts, each given with its size in bytes; close a client for which too much waits with 4100."""
        if self._closing:
            return
        for text in texts:
            self._waiting.append(text)
            self._waiting_bytes += text[1] + _QUEUED
        if self._writer is None:
            self._writer = self._runtime.loop.create_task(self._send_waiting())
        if self._waiting_bytes > self.app.settings.max_output_buffer:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._runtime.close_slow_client(self)

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                text, size = self._waiting.popleft()
                await self._send({"type": "websocket.send", "text": text})
                self._waiting_bytes = max(0, self._waiting_bytes - size - _QUEUED)
            if self._close_message is not None:
                await self._send(self._close_message)
        except Exception:  # servers raise what they like once the client is gone
            self._waiting.clear()
        finally:
            self._writer = None
        if self.reading is not None:
            resumption.read_on(self)

    @property
    def has_room(self) -> bool:
        """True if no output waits."""
        return self._writer is None

    @property
    def waiting_bytes(self) -> int:
        """Bytes of messages that wait to be sent."""
        return self._waiting_bytes

    # Closing

    def close(self, code: int, reason: str) -> None:
        """Leave the node at once; send a close frame after what waits, within ``close_timeout`` seconds."""
        if self._closing:
            return
        fitting = reason.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")
        self._close_message = {"type": "websocket.close", "code": code, "reason": fitting}
        self._leave(code)
        if self._writer is None:
            self._writer = self._runtime.loop.create_task(self._send_waiting())
        self._runtime.wheel.add(self, self._runtime.close_timeout)

    @property
    def address(self) -> str:
        """The client's address, as the ASGI server gives it."""
        return self._address

    @property
    def is_open(self) -> bool:
        """True until the connection is closed: messages of the client are acted on."""
        return not self._closing

    def _leave(self, code: int | None = None) -> None:
        if not self._closing:
            self._closing = True
            self._runtime.leave_queue.add(self, code)

    # Liveness

    def on_time(self, now: int) -> int:
        """Ping or give up a silent client; end the wait for one that does not answer a close frame."""
        if self._closing:
            if self._task is not None:
                self._cancelled = True
                self._task.cancel()
            return 0
        return liveness.check(self, self.app.settings, now)

    def ping(self) -> None:
        """Send a ``pusher:ping``; WebSocket pings are the ASGI server's own affair."""
        self.send(messages.PING)

    def give_up(self) -> None:
        """Close with 4201: the client did not answer a ping."""
        self.end(codes.PONG_NOT_RECEIVED, "Pong reply not received in time")


def deliver(connections: Iterable[Connection], data: bytes) -> None:
    """Write the same frames to many connections; decode them once."""
    texts = [(payload.decode(), len(payload)) for payload in frame_payloads(data)]
    for connection in connections:
        cast("AsgiConnection", connection).write_texts(texts)

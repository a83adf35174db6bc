"""A client's WebSocket: bytes in, messages to the core; frames from the core, bytes out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from soundpost.core import liveness, protocol
from soundpost.core.connection import Connection
from soundpost.errors import FrameError
from soundpost.server.peer import GONE, peer_address
from soundpost.wire import codes, frames, messages
from soundpost.wire.compression import unpack
from soundpost.wire.frames import COMPRESSED, FrameReader, Message, read_single

if TYPE_CHECKING:
    from soundpost.core.app_state import AppState
    from soundpost.server.server import Server

_WS_PING: Final = frames.encode_frame(frames.PING, b"")


class WebSocketConnection(Connection, asyncio.Protocol):
    """One client. Also the transport's protocol: one object per connection, not two."""

    __slots__ = (
        "_closing",
        "_deaf",
        "_plain_fd",
        "_reader",
        "_server",
        "_told",
        "_transport",
        "_uses_control_frames",
        "fd",
        "last_seen",
        "pinged_at",
        "slot",
    )

    def __init__(self, app: AppState, server: Server, transport: asyncio.Transport, told: str | None = None) -> None:
        """``told``: where the client is, if a proxy said so; else the kernel knows."""
        super().__init__(app)
        self._told = told
        self._server = server
        self._transport: asyncio.Transport | None = transport
        self._reader: FrameReader | None = None
        self._closing = False
        self._deaf = False  # the client has ended its side: what still comes in is ignored
        self._uses_control_frames = False
        self.last_seen = server.wheel.now
        self.pinged_at = -1
        self.slot = -1
        self._plain_fd = -1
        if transport.get_extra_info("sslcontext") is None:
            # Nothing is held back unless the kernel takes no more: pause_writing then says so exactly.
            # (Not on TLS: with this mark uvloop's TLS transport stalls once its client has read slowly.)
            transport.set_write_buffer_limits(high=0)
            self._plain_fd = transport.get_extra_info("socket").fileno()
        self.fd = self._plain_fd
        """Where :func:`soundpost.server.delivery.deliver` may write; -1: only through :meth:`write`."""

    def open(self, handshake: bytes) -> None:
        """Answer the handshake, greet the client and watch over it from now on."""
        self._server.open_websockets += 1
        self._server.wheel.add(self, liveness.patience(self.app.app))
        self.app.node.opened(self, handshake)
        if self._server.stopping:
            self._server.send_away(self)

    # Writing

    def write(self, data: bytes | memoryview) -> None:
        """Write whole frames; a client for which too much waits is closed with 4100."""
        transport = self._transport
        if self._closing or transport is None:
            return
        transport.write(data)
        if self.fd < 0 and transport.get_write_buffer_size() > self.app.app.max_output_buffer:
            for observer in self.app.node.observers:
                observer.output_overflowed(self)
            self._server.overflowed(self)
            self.close(codes.OVER_CAPACITY, "Too slow: more than max_output_buffer bytes were waiting for you")

    def pause_writing(self) -> None:
        """The kernel takes no more: what comes next waits in the transport."""
        self.fd = -1

    def resume_writing(self) -> None:
        """The transport is empty again."""
        if not self._closing:
            self.fd = self._plain_fd

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and leave the node; the socket goes when the client has answered, or in a while."""
        if self._closing:
            return
        if self._transport is not None:
            self._transport.write(frames.close_frame(code, reason))
        self._leave()
        if self._transport is not None:
            self._server.wheel.add(self, self._server.settings.close_timeout)

    @property
    def address(self) -> str:
        """Where the client is."""
        if self._told is not None:
            return self._told
        return GONE if self._transport is None else peer_address(self._transport)

    @property
    def is_open(self) -> bool:
        """Whether what the client sent is still to be acted on."""
        return not self._closing

    def abort(self) -> None:
        """Drop the socket and what waits for it."""
        if self._transport is not None:
            self._transport.abort()

    def _leave(self) -> None:
        """Stop acting and writing; the node is told when no delivery can be under way."""
        self._closing = True
        self.fd = -1
        self._server.loop.call_soon(self.app.node.closed, self)

    # Reading

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.last_seen = self._server.wheel.now
        if self._deaf:
            return
        if self._reader is None:
            payload = read_single(data, self.app.app.max_message_size)
            if payload is not None:
                if not self._closing:
                    protocol.receive(self, payload)
                return
            self._reader = FrameReader(self.app.app.max_message_size, self.takes_compressed)
        reader = self._reader
        try:
            for message in reader.feed(data):
                self._take(message)
                if self._deaf:
                    return
        except FrameError as error:
            self._break_off(error)
            return
        if reader.idle:
            self._reader = None

    def _take(self, message: Message) -> None:
        if message.opcode & COMPRESSED:
            message = unpack(message, self.app.app.max_message_size)
        opcode, payload = message
        if opcode == frames.CLOSE:
            self._take_close(payload)
        elif self._closing:
            return  # after our close frame only the client's matters, to let the socket go sooner
        elif opcode == frames.TEXT:
            protocol.receive(self, payload)
        elif opcode == frames.PING:
            self._uses_control_frames = True
            self.write(frames.encode_frame(frames.PONG, payload))
        elif opcode == frames.PONG:
            self._uses_control_frames = True
        else:
            self.close(frames.UNSUPPORTED_DATA, "Binary messages are not supported: send text")

    def _take_close(self, payload: bytes) -> None:
        """The client's close frame, first or in answer to ours: both sides are done."""
        code, reason = frames.parse_close(payload)
        self._deaf = True
        self.close(code, reason)
        if self._transport is not None:
            self._transport.close()

    def _break_off(self, error: FrameError) -> None:
        """Close after bytes that cannot be understood; what follows them cannot either, and is read past.

        Closing the socket at once, while the client still sends, would lose the close frame on its way.
        """
        self._deaf = True
        self.close(error.code, error.reason)
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def eof_received(self) -> None:
        """The client sends no more: the transport closes."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone. The descriptor is still ours until this returns, and must be forgotten by then."""
        self._transport = None
        self._server.wheel.remove(self)
        self._server.lost(self)
        if not self._closing:
            self._leave()

    # Liveness

    def on_time(self, now: int) -> int:
        """Ping, give up, or end the wait for a client that does not answer a close frame."""
        if self._closing:
            self.abort()
            return 0
        return liveness.check(self, self.app.app, now)

    def ping(self) -> None:
        """With a WebSocket ping for clients that use those themselves, else with a ``pusher:ping``."""
        self.send(_WS_PING if self._uses_control_frames else messages.PING)

    def give_up(self) -> None:
        """The client did not answer a ping."""
        self.end(codes.PONG_NOT_RECEIVED, "Pong reply not received in time")

"""Output of a WebSocket connection: frames to the socket, output that has to wait, the close frame."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from soundpost.core import resumption
from soundpost.core.connection import Connection
from soundpost.server.connections.peer import UNKNOWN_ADDRESS, peer_address
from soundpost.server.connections.socket_transport import SocketTransport
from soundpost.wire import frames
from soundpost.wire.frames import FrameReader, Message

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.server.server import Server

_PIECE: Final = 16_384
"""Bytes of blocked output that the transport gets at a time; they count as waiting until the last is sent."""

OPEN: Final = 0
"""State of a connection: both sides send messages."""
CLOSING: Final = 1
"""State of a connection: the server has sent its close frame, and waits for the client's."""
DISCARDING: Final = 2
"""State of a connection: the client sent invalid bytes, so further input is discarded."""
FLUSHING: Final = 3
"""State of a connection: both sides have closed, and the socket closes once all output is sent."""


class WebSocketOutput(Connection):
    """The half of a :class:`.WebSocketConnection` that writes, and pauses reading while too much output waits.

    A base class and not an object of its own: each client would take the memory of two.
    """

    __slots__ = (
        "_blocked",
        "_forwarded_address",
        "_reader",
        "_sends_control_frames",
        "_server",
        "_state",
        "_transport",
        "_unhandled",
        "fd",
        "last_seen",
        "pinged_at",
        "slot",
    )

    def __init__(
        self,
        app: App,
        server: Server,
        transport: asyncio.Transport | SocketTransport,
        forwarded_address: str | None = None,
    ) -> None:
        """``forwarded_address``: the client's address if a trusted proxy gave it; else the kernel is asked.

        All attributes are set here: a constructor of the subclass would be one more call for each client.
        """
        super().__init__(app)
        self._forwarded_address = forwarded_address
        self._server = server
        self._transport: asyncio.Transport | SocketTransport | None = transport
        self._reader: FrameReader | None = None
        self._unhandled: Iterator[Message | int] | None = None
        """Frames that are read and not yet handled, while the connection waits for its turn."""
        self._state = OPEN
        self._sends_control_frames = False
        self._blocked: bytearray | None = None
        """Output that waits until the transport takes more, in one buffer; None while no output has to wait."""
        self.last_seen = server.wheel.now
        self.pinged_at = -1
        self.slot = -1
        self.fd = -1
        """The descriptor that :mod:`soundpost.server.connections.delivery` writes to; -1 if only :meth:`write` may."""
        if isinstance(transport, SocketTransport):
            self.fd = transport.fileno()
            paused = transport.hold_nothing_back()
        elif transport.get_extra_info("sslcontext") is None:
            # Nothing is held back unless the kernel takes no more: pause_writing then says so exactly.
            transport.set_write_buffer_limits(high=0)
            self.fd = transport.get_extra_info("socket").fileno()
            paused = transport.get_write_buffer_size() > 0
        else:
            transport.set_write_buffer_limits(high=_PIECE)  # uvloop's TLS transport takes 0 for "always paused"
            paused = transport.get_write_buffer_size() >= _PIECE
        if paused:  # by answers to earlier HTTP requests: only the old protocol was paused
            self.pause_writing()

    def write(self, data: bytes | memoryview) -> None:
        """Write whole frames; close a client for which too much waits with 4100."""
        transport = self._transport
        if self._state != OPEN or transport is None:
            return
        if self._blocked is None:
            transport.write(data)
            if self._blocked is None:
                return
        else:
            self._blocked += data
        limit = self.app.settings.max_output_buffer
        waiting = len(self._blocked) + transport.get_write_buffer_size()
        if waiting > limit:
            self._server.close_slow_client(self)
        elif waiting > limit // 2:
            self._pause_reading()  # further answers would only add to the output

    def pause_writing(self) -> None:
        """Keep further output: the transport takes no more."""
        if self._blocked is None:
            self._blocked = bytearray()
        self.fd = -1

    def _is_blocked(self) -> bool:
        # A method: where an attribute is set to None, compiled code takes it to stay None.
        return self._blocked is not None

    def resume_writing(self) -> None:
        """Give the transport the output that waits, in pieces, until it takes no more."""
        waiting, self._blocked = self._blocked, None
        transport = self._transport
        if transport is None:
            return
        self.last_seen = self._server.wheel.now  # the client reads, though its own input may wait unread
        while waiting:
            piece = bytes(waiting[:_PIECE])
            del waiting[:_PIECE]
            transport.write(piece)
            if self._is_blocked():  # pause_writing was called within write
                self._blocked = waiting
                return
        if self._state == OPEN and transport.get_extra_info("sslcontext") is None:
            self.fd = transport.get_extra_info("socket").fileno()
        self._end_output()
        self._resume_reading()
        if self.reading is not None:
            resumption.read_on(self)

    @property
    def has_room(self) -> bool:
        """True if no output waits."""
        return self._blocked is None

    @property
    def waiting_bytes(self) -> int:
        """Bytes of output that the client has not taken yet, without those in the kernel."""
        blocked = 0 if self._blocked is None else len(self._blocked)
        return blocked + (0 if self._transport is None else self._transport.get_write_buffer_size())

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and leave the node; drop the socket without an answer within ``close_timeout`` seconds."""
        if self._state != OPEN:
            return
        if self._transport is not None:
            frame = frames.close_frame(code, reason)
            if self._blocked is None:
                self._transport.write(frame)
            else:
                self._blocked += frame
        self._leave(code)
        if self._transport is not None:
            self._server.wheel.add(self, self._server.close_timeout)

    @property
    def address(self) -> str:
        """The client's address; empty on a Unix socket."""
        if self._forwarded_address is not None:
            return self._forwarded_address
        return UNKNOWN_ADDRESS if self._transport is None else peer_address(self._transport)

    @property
    def is_open(self) -> bool:
        """True until the connection is closed: messages of the client are acted on."""
        return self._state == OPEN

    def abort(self) -> None:
        """Drop the socket and all output that waits."""
        if self._transport is not None:
            self._pause_reading()
            self._transport.abort()

    def _leave(self, code: int | None = None) -> None:
        """Stop reading and writing; leave the node in a later loop turn, when no delivery can be under way."""
        if self._state == OPEN:
            self._state = CLOSING
        self.fd = -1
        self._server.leave_queue.add(self, code)

    def _resume_reading(self) -> None:
        """Read again, unless frames wait for their turn or too much output waits for the client."""
        if self._transport is None or self._unhandled is not None:
            return
        blocked = 0 if self._blocked is None else len(self._blocked)
        if blocked > self.app.settings.max_output_buffer // 2:
            return
        self._transport.resume_reading()

    @property
    def is_reading(self) -> bool:
        """True while input is read as it comes."""
        return self._transport is not None and self._transport.is_reading()

    def _pause_reading(self) -> None:
        """Read no further, until :meth:`_resume_reading`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def _end_output(self) -> None:
        """End the output after the close frame; close the socket if the client has closed too."""
        if self._transport is None or self._blocked is not None:
            return
        if self._state == FLUSHING:
            self._pause_reading()
            self._transport.close()
        elif self._state == DISCARDING and self._transport.can_write_eof():
            self._transport.write_eof()

    @abstractmethod
    def on_time(self, now: int) -> int:
        """Do what is due at a time in seconds; see :class:`soundpost.server.connections.timer_wheel.Timed`."""

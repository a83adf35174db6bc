"""WebSocket connections: bytes in, messages to the core; frames from the core, bytes out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final

from soundpost.core import flooding, liveness, oversized, protocol, resumption
from soundpost.core.connection import Connection
from soundpost.errors import FrameError
from soundpost.server.connections.fair_queue import LARGE_READ, SLICE
from soundpost.server.connections.peer import UNKNOWN_ADDRESS, peer_address
from soundpost.server.connections.socket_transport import SocketTransport
from soundpost.wire import codes, frames, messages
from soundpost.wire.compression import unpack
from soundpost.wire.frames import COMPRESSED, FrameReader, Message, read_close, read_single

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.server.server import Server

_CLOSE_FRAME: Final = 0x80 | frames.CLOSE
_read_single: Final = read_single  # compiled code reads a constant of its own module much faster
_MAX_CLOSE_FRAME: Final = 131  # bytes of a client's close frame: header, mask and reason
_WS_PING: Final = frames.encode_frame(frames.PING, b"")
_PIECE: Final = 16_384
"""Bytes of blocked output that the transport gets at a time; they count as waiting until the last is sent."""


_OPEN: Final = 0
_CLOSING: Final = 1
"""State of a connection: the server has sent its close frame, and waits for the client's."""
_DISCARDING: Final = 2
"""State of a connection: the client sent invalid bytes, so further input is discarded."""
_FLUSHING: Final = 3
"""State of a connection: both sides have closed, and the socket closes once all output is sent."""


class WebSocketConnection(Connection):
    """A client's WebSocket, and at the same time the transport's protocol: one object for each connection, not two.

    Not derived from ``asyncio.Protocol``: a compiled object would have a ``__dict__`` then.
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
        """``forwarded_address``: the client's address if a trusted proxy gave it; else the kernel is asked."""
        super().__init__(app)
        self._forwarded_address = forwarded_address
        self._server = server
        self._transport: asyncio.Transport | SocketTransport | None = transport
        self._reader: FrameReader | None = None
        self._unhandled: Iterator[Message | int] | None = None
        """Frames that are read and not yet handled, while the connection waits for its turn."""
        self._state = _OPEN
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

    def open(self, handshake: bytes) -> None:
        """Answer the handshake, greet the client, and begin to ping it when it is silent."""
        server = self._server
        if isinstance(self._transport, SocketTransport):
            self._transport.read_by(server.poller)
        server.open_websockets += 1
        server.wheel.add(self, self.app.ping_after)
        self.app.node.opened(self, handshake)
        if server.stopping:
            server.close_for_reconnect(self)

    # Writing

    def write(self, data: bytes | memoryview) -> None:
        """Write whole frames; close a client for which too much waits with 4100."""
        transport = self._transport
        if self._state != _OPEN or transport is None:
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
        if self._state == _OPEN and transport.get_extra_info("sslcontext") is None:
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
        if self._state != _OPEN:
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
        return self._state == _OPEN

    def abort(self) -> None:
        """Drop the socket and all output that waits."""
        if self._transport is not None:
            self._pause_reading()
            self._transport.abort()

    def _leave(self, code: int | None = None) -> None:
        """Stop reading and writing; leave the node in a later loop turn, when no delivery can be under way."""
        if self._state == _OPEN:
            self._state = _CLOSING
        self.fd = -1
        self._server.leave_queue.add(self, code)

    # Reading

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client: hand a single text frame to the core at once, read others frame by frame."""
        self.last_seen = self._server.wheel.now
        if self._state == _OPEN and self._reader is None and self._unhandled is None:
            payload = _read_single(data, self.app.max_message_size)
            if payload is not None:
                if self._server.fair_queue.has_time():
                    outbox = self.app.node.outbox
                    outbox.is_reading = True
                    try:
                        protocol.receive(self, payload)
                    finally:
                        outbox.end_reading()
                else:  # many clients send at once
                    self._unhandled = iter((Message(frames.TEXT, payload),))
                    self._wait_for_turn()
                return
        if self._state >= _DISCARDING:
            if data[0] == _CLOSE_FRAME and len(data) <= _MAX_CLOSE_FRAME and self._transport is not None:
                self._transport.close()  # the client has the reason
            elif len(data) >= LARGE_READ and self._transport is not None:
                self._pause_reading()
                if self._server.lingering.may_read_more(self, len(data)):
                    self._wait_for_turn()
            return
        payload = read_close(data) if self._reader is None else None
        if payload is not None:
            came: Iterator[Message | int] = iter((Message(frames.CLOSE, payload),))
        else:
            if self._reader is None:
                self._reader = FrameReader(oversized.most_read(self.app.settings), self.takes_compressed)
            came = self._reader.frames(data)
        if self._unhandled is not None:  # a paused transport may still deliver input it had already
            self._unhandled = chain(self._unhandled, came)
            self._pause_reading()
            return
        self._unhandled = came
        if self._server.fair_queue.has_time():
            self.work()
        else:
            self._wait_for_turn()

    def note_client_events(self) -> None:
        """Have the loop read the socket from now on, if it reads few others."""
        if isinstance(self._transport, SocketTransport) and self._server.loop_reader.has_room:
            self._transport.read_by(self._server.loop_reader)

    def _wait_for_turn(self) -> None:
        if self._transport is not None:
            self._pause_reading()
            self._server.fair_queue.add(self)

    def work(self) -> None:
        """Handle a slice of the frames that came."""
        left = SLICE
        try:
            for message in self._unhandled or ():
                if isinstance(message, Message):
                    self._handle(message)
                elif self._state == _OPEN:
                    flooding.count_fragment(self, message)
                if self._state >= _DISCARDING:
                    break
                left -= 1
                if not left:
                    if self._state == _OPEN:
                        self._wait_for_turn()
                        return
                    self._discard_input()  # a client that still sends so much is not about to answer the close frame
                    break
        except FrameError as error:
            self._fail_connection(error)
        self._unhandled = None
        if self._state >= _DISCARDING or (self._reader is not None and self._reader.idle):
            self._reader = None
        self._resume_reading()

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

    def _handle(self, message: Message) -> None:
        if message.opcode & COMPRESSED:
            message = unpack(message, oversized.most_read(self.app.settings))
        opcode, payload = message
        if opcode == frames.CLOSE:
            self._handle_close(payload)
        elif self._state != _OPEN:
            return
        elif opcode == frames.TEXT:
            if len(payload) <= self.app.max_message_size:
                protocol.receive(self, payload)
            else:
                oversized.refuse(self, payload)
        elif opcode in (frames.PING, frames.PONG):
            self._sends_control_frames = True
            if flooding.takes_rate_limited_junk(self) and opcode == frames.PING:
                self.write(frames.encode_frame(frames.PONG, payload))
        else:
            self.close(frames.UNSUPPORTED_DATA, "Binary messages are not supported: send text")

    def _handle_close(self, payload: bytes) -> None:
        """Answer the client's close frame, unless it is the answer to the server's: both sides have closed."""
        code, reason = frames.parse_close(payload)
        self.close(code, reason)
        self._state = _FLUSHING
        self._end_output()

    def _fail_connection(self, error: FrameError) -> None:
        """Close after invalid bytes, and discard what follows (RFC 6455, 7.1.7).

        Closing the socket at once, while the client still sends, would lose the close frame on its way.
        """
        if self._state == _OPEN:
            reason = oversized.close_reason(self) if error.code == frames.TOO_BIG else error.reason
            self.close(error.code, reason)
        self._discard_input()

    def _discard_input(self) -> None:
        """Discard all further input."""
        self._state = _DISCARDING
        self._end_output()

    def _end_output(self) -> None:
        """End the output after the close frame; close the socket if the client has closed too."""
        if self._transport is None or self._blocked is not None:
            return
        if self._state == _FLUSHING:
            self._pause_reading()
            self._transport.close()
        elif self._state == _DISCARDING and self._transport.can_write_eof():
            self._transport.write_eof()

    def eof_received(self) -> bool:
        """Close once all output is sent; return whether some waits (TLS cannot stay half open)."""
        if self._blocked is None or self._transport is None or not self._transport.can_write_eof():
            return False
        self.close(frames.NORMAL_CLOSURE, "")
        self._state = _FLUSHING
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the socket. Its descriptor is valid until this returns, and must not be used afterwards."""
        self._transport = self._blocked = self._unhandled = None
        self._server.wheel.remove(self)
        if self._state != _OPEN:
            self._server.lingering.forget(self)
        self._server.websocket_lost(self)
        if self._state == _OPEN:
            self._leave()

    # Liveness

    def on_time(self, now: int) -> int:
        """Ping or give up a silent client; end the wait for one that does not answer a close frame."""
        if self._state != _OPEN:
            self.abort()
            return 0
        return liveness.check(self, self.app.settings, now)

    def ping(self) -> None:
        """Send a WebSocket ping to clients that use those themselves, else a ``pusher:ping``."""
        self.send(_WS_PING if self._sends_control_frames else messages.PING)

    def give_up(self) -> None:
        """Close with 4201: the client did not answer a ping."""
        self.end(codes.PONG_NOT_RECEIVED, "Pong reply not received in time")

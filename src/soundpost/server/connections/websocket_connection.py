"""WebSocket connections: bytes from the client, messages to the core, pings, the end of the socket."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from soundpost.core import flooding, liveness, oversized, protocol
from soundpost.errors import FrameError
from soundpost.server.connections.fair_queue import LARGE_READ, SLICE
from soundpost.server.connections.socket_transport import SocketTransport
from soundpost.server.connections.websocket_output import DISCARDING, FLUSHING, OPEN, WebSocketOutput
from soundpost.wire import codes, frames, messages
from soundpost.wire.compression import unpack
from soundpost.wire.frames import COMPRESSED, FrameReader, Message, read_close, read_single

_CLOSE_FRAME: Final = 0x80 | frames.CLOSE
_read_single: Final = read_single  # compiled code reads a constant of its own module much faster
_MAX_CLOSE_FRAME: Final = 131  # bytes of a client's close frame: header, mask and reason
_WS_PING: Final = frames.encode_frame(frames.PING, b"")


class WebSocketConnection(WebSocketOutput):
    """A client's WebSocket, and at the same time the transport's protocol: one object for each connection, not two.

    Not derived from ``asyncio.Protocol``: a compiled object would have a ``__dict__`` then.
    """

    __slots__ = ()

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

    # Reading

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client: hand a single text frame to the core at once, read others frame by frame."""
        self.last_seen = self._server.wheel.now
        if self._state == OPEN and self._reader is None and self._unhandled is None:
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
        if self._state >= DISCARDING:
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
                elif self._state == OPEN:
                    flooding.count_fragment(self, message)
                if self._state >= DISCARDING:
                    break
                left -= 1
                if not left:
                    if self._state == OPEN:
                        self._wait_for_turn()
                        return
                    self._discard_input()  # a client that still sends so much is not about to answer the close frame
                    break
        except FrameError as error:
            self._fail_connection(error)
        self._unhandled = None
        if self._state >= DISCARDING or (self._reader is not None and self._reader.idle):
            self._reader = None
        self._resume_reading()

    def _handle(self, message: Message) -> None:
        if message.opcode & COMPRESSED:
            message = unpack(message, oversized.most_read(self.app.settings))
        opcode, payload = message
        if opcode == frames.CLOSE:
            self._handle_close(payload)
        elif self._state != OPEN:
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
        self._state = FLUSHING
        self._end_output()

    def _fail_connection(self, error: FrameError) -> None:
        """Close after invalid bytes, and discard what follows (RFC 6455, 7.1.7).

        Closing the socket at once, while the client still sends, would lose the close frame on its way.
        """
        if self._state == OPEN:
            reason = oversized.close_reason(self) if error.code == frames.TOO_BIG else error.reason
            self.close(error.code, reason)
        self._discard_input()

    def _discard_input(self) -> None:
        """Discard all further input."""
        self._state = DISCARDING
        self._end_output()

    def eof_received(self) -> bool:
        """Close once all output is sent; return whether some waits (TLS cannot stay half open)."""
        if self._blocked is None or self._transport is None or not self._transport.can_write_eof():
            return False
        self.close(frames.NORMAL_CLOSURE, "")
        self._state = FLUSHING
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the socket. Its descriptor is valid until this returns, and must not be used afterwards."""
        self._transport = self._blocked = self._unhandled = None
        self._server.wheel.remove(self)
        if self._state != OPEN:
            self._server.lingering.forget(self)
        self._server.websocket_lost(self)
        if self._state == OPEN:
            self._leave()

    # Liveness

    def on_time(self, now: int) -> int:
        """Ping or give up a silent client; end the wait for one that does not answer a close frame."""
        if self._state != OPEN:
            self.abort()
            return 0
        return liveness.check(self, self.app.settings, now)

    def ping(self) -> None:
        """Send a WebSocket ping to clients that use those themselves, else a ``pusher:ping``."""
        self.send(_WS_PING if self._sends_control_frames else messages.PING)

    def give_up(self) -> None:
        """Close with 4201: the client did not answer a ping."""
        self.end(codes.PONG_NOT_RECEIVED, "Pong reply not received in time")

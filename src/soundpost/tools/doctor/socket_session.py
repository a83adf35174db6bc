"""WebSocket connection to a Pusher server, blocking, from the handshake to the end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidState
from websockets.extensions.permessage_deflate import enable_client_permessage_deflate
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.typing import Origin
from websockets.uri import parse_uri

from soundpost.client.incoming import Frame, decode_frame
from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.exchange import USER_AGENT, send_request
from soundpost.tools.doctor.findings import FaultFound, one_line
from soundpost.tools.doctor.refusals import upgrade_fault
from soundpost.wire.json_text import encode

NO_CLOSE_FRAME: Final = 1006
_MAX_MESSAGE: Final = 1_048_576
"""Bytes of a message; the doctor joins no channel with members, whose lists are longer."""
_PING: Final = "pusher:ping"
_PONG: Final = "pusher:pong"


class NothingReceivedError(Exception):
    """No message arrived in time."""


class ConnectionClosedError(Exception):
    """Closed WebSocket: ``code`` is 1006 without a close frame (RFC 6455, 7.1.5)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason or 'no reason given'} ({code})")
        self.code = code
        self.reason = reason


class SocketSession:
    """Open WebSocket; a context manager that closes it."""

    def __init__(self, sock: socket.socket, protocol: ClientProtocol) -> None:
        self._sock = sock
        self._protocol = protocol
        self._frames: list[WebSocketFrame] = []

    def __enter__(self) -> SocketSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def receive(self, seconds: float | None = None) -> Frame:
        """Return the next message, waiting ``seconds`` at most.

        Raises NothingReceivedError, ConnectionClosedError, and FaultFound for a message of another protocol.
        """
        text = self.receive_text(timeouts.ANSWER if seconds is None else seconds)
        frame = decode_frame(text)
        if frame is None:
            raise FaultFound("not-pusher-protocol", shown=repr(one_line(text)))
        return frame

    def messages(self, seconds: float) -> Iterator[Frame]:
        """Yield messages for ``seconds`` and answer pings.

        Raises NothingReceivedError at the end of the time, and the errors of :meth:`receive`.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            frame = self.receive(left)
            if frame.event == _PING:
                self.send(_PONG, {})
            yield frame
        raise NothingReceivedError

    def receive_text(self, seconds: float) -> bytes:
        """Return the next message undecoded. Raises NothingReceivedError and ConnectionClosedError."""
        deadline = time.monotonic() + seconds
        message = bytearray()
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.opcode is Opcode.CLOSE:
                    closed = self._protocol.close_rcvd
                    raise (
                        ConnectionClosedError(closed.code, closed.reason)
                        if closed
                        else ConnectionClosedError(NO_CLOSE_FRAME, "")
                    )
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    message += frame.data
                    if frame.fin:
                        return bytes(message)
            self._read(deadline)

    def send(self, event: str, data: Any) -> None:
        """Send a message; a lost connection shows at the next :meth:`receive`."""
        with suppress(InvalidState):
            self._protocol.send_text(encode({"event": event, "data": data}))
            self._flush()

    def close(self) -> None:
        """Send a close frame and close the socket without waiting for the reply."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(1000)
            self._flush()
        self._sock.close()

    def _read(self, deadline: float) -> None:
        fault, sent_close = self._protocol.parser_exc, self._protocol.close_sent
        if fault is not None:
            raise ConnectionClosedError(sent_close.code if sent_close else NO_CLOSE_FRAME, one_line(str(fault)))
        left = deadline - time.monotonic()
        if left <= 0:
            raise NothingReceivedError
        self._sock.settimeout(left)
        try:
            data = self._sock.recv(65_536)
        except TimeoutError:
            raise NothingReceivedError from None
        except OSError:
            data = b""
        if not data:
            raise ConnectionClosedError(NO_CLOSE_FRAME, "")
        self._protocol.receive_data(data)
        self._flush()  # a pong, or the reply to a close frame
        self._frames += [event for event in self._protocol.events_received() if isinstance(event, WebSocketFrame)]

    def _flush(self) -> None:
        try:
            self._sock.settimeout(timeouts.CONNECT)
            for data in self._protocol.data_to_send():
                if data:
                    self._sock.sendall(data)
        except OSError:
            return


def open_session(sock: socket.socket, base_url: BaseUrl, key: str, origin: str | None) -> SocketSession:
    """Open a WebSocket over a connection, as a browser does on a page of ``origin``. Raises FaultFound."""
    protocol = ClientProtocol(
        parse_uri(base_url.socket_url(key)),
        origin=None if origin is None else Origin(origin),
        extensions=enable_client_permessage_deflate(None),
        max_size=_MAX_MESSAGE,
    )
    request = protocol.connect()
    request.headers = Headers({**dict(request.headers.raw_items()), "User-Agent": USER_AGENT})
    protocol.send_request(request)
    try:
        response = send_request(sock, base_url, b"".join(protocol.data_to_send()))
        asked = base_url.socket_path(key)
        if response.status != 101:
            raise upgrade_fault(response, base_url, asked)
        protocol.receive_data(response.raw)
        if protocol.handshake_exc is not None:
            raise FaultFound("upgrade-invalid", reason=one_line(str(protocol.handshake_exc)))
        session = SocketSession(sock, protocol)
        session._frames += [event for event in protocol.events_received() if isinstance(event, WebSocketFrame)]
        return session
    except (FaultFound, InvalidHandshake):
        sock.close()
        raise

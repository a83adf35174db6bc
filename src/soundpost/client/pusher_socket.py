"""A socket to a Pusher-compatible server, from ``pusher:connection_established`` to its close."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final, NamedTuple

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from soundpost.client.arguments import json_of
from soundpost.client.bad_messages import BadMessageLog
from soundpost.client.bounded_connection import BoundedConnection
from soundpost.client.incoming import Frame, decode_frame
from soundpost.errors import ConnectionRefused, RequestError
from soundpost.http_failures import no_answer, unexpected_answer
from soundpost.redaction import redacted_url
from soundpost.wire import socket_id as socket_ids
from soundpost.wire.addresses import is_loopback_url
from soundpost.wire.frames import TOO_BIG
from soundpost.wire.printable import one_line

ANSWER_TIMEOUT: Final = 10.0
"""Seconds that a server may take to answer."""
NO_CLOSE_FRAME: Final = 1006
"""Close code that stands for a connection that ended without a close frame (RFC 6455, 7.1.5)."""
MAX_MESSAGE_SIZE: Final = 10_485_760
"""Default limit of a message, in bytes: the members of the largest channel come in one message."""
_MAX_ACTIVITY_TIMEOUT: Final = 120.0  # pusher-js's own activity timeout; a server may ask for less
_MIN_ACTIVITY_TIMEOUT: Final = 1.0
_PONG_TIMEOUT: Final = 30.0
_MAX_QUEUED_FRAMES: Final = 4
"""Frames that may wait for the reader; each may be as large as a message."""
_SHOWN: Final = 100
_CODES_END: Final = 5000
_PING: Final = '{"event":"pusher:ping","data":{}}'


class ConnectionLoss(NamedTuple):
    """The end of a socket: close code (1006 without a close frame) and reason."""

    code: int
    reason: str

    def refusal(self) -> ConnectionRefused:
        """Return the exception for a client that must not reconnect."""
        return ConnectionRefused(self.code, self.reason or "the server ended the connection")

    def __str__(self) -> str:
        return f"connection lost ({self.code}{f' {self.reason}' if self.reason else ''})"


class ConnectionLostError(Exception):
    """A socket ended; ``lost`` says with which code and reason."""

    def __init__(self, lost: ConnectionLoss) -> None:
        super().__init__(lost)
        self.lost = lost


class PusherSocket:
    """A socket after its ``pusher:connection_established``; ``socket_id`` is the id that the server gave it."""

    def __init__(self, socket: BoundedConnection, max_message_size: int, bad_messages: BadMessageLog) -> None:
        self._socket = socket
        self._max_message_size = max_message_size
        self._bad_messages = bad_messages
        self._activity_timeout = _MAX_ACTIVITY_TIMEOUT
        self.socket_id = ""

    @classmethod
    async def open(
        cls, base_url: str, url: str, *, verify: bool, max_message_size: int, bad_messages: BadMessageLog
    ) -> PusherSocket:
        """Connect to the WebSocket address ``url``, and wait for ``pusher:connection_established``.

        ``base_url`` is the server's address as messages show it. ``max_message_size`` is in bytes. Raises RequestError
        when no Pusher server answers, ConnectionLostError when the server refuses the connection.
        """
        try:
            socket = await websockets.connect(
                url,
                ssl=_tls_context(verify) if url.startswith("wss:") else None,
                proxy=None if is_loopback_url(base_url) else True,
                ping_interval=None,  # the protocol has its own
                open_timeout=ANSWER_TIMEOUT,
                close_timeout=1,
                max_size=max_message_size,
                max_queue=_MAX_QUEUED_FRAMES,
                create_connection=BoundedConnection,
                user_agent_header="soundpost",
            )
        except InvalidStatus as error:
            answer = error.response
            headers = {name.lower(): value for name, value in answer.headers.raw_items()}
            raise unexpected_answer(base_url, answer.status_code, headers, bytes(answer.body or b"")) from None
        except Exception as error:  # OSError, WebSocketException, and what the library makes of an answer it trusts
            raise no_answer(base_url, error) from None
        assert isinstance(socket, BoundedConnection)
        self = cls(socket, max_message_size, bad_messages)
        try:
            await self._hello(base_url)
        except BaseException:
            await self.close()
            raise
        return self

    async def receive(self) -> Frame:
        """Return the next message; send ``pusher:ping`` after a silence. Raises ConnectionLostError."""
        while True:
            text = await self._receive()
            frame = decode_frame(text)
            if frame is not None:
                return frame
            self._bad_messages.warn(f"no message of the Pusher protocol, left out: {one_line(text, _SHOWN)}")

    async def send(self, event: str, data: Any, channel: str | None = None) -> None:
        """Send ``data`` as JSON. The loss of the socket is raised by :meth:`receive`, not here.

        Raises PayloadError for data that has no form in JSON.
        """
        message = {"event": event, "data": data}
        whole = message if channel is None else {**message, "channel": channel}
        await self._send(json_of(whole, f"{event} was not sent: its data").decode())

    async def close(self) -> None:
        """Close the socket with a close frame."""
        await self._socket.close()

    async def _hello(self, base_url: str) -> None:
        where = redacted_url(base_url)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                frame = await self.receive()
        except TimeoutError:
            raise RequestError(0, f"{where} accepted the connection, but sent nothing") from None
        content = frame.content()
        if frame.event == "pusher:error":
            # The close code says the same with most servers; Reverb sends none, and may leave the socket open.
            raise ConnectionLostError(ConnectionLoss(error_code(content), text_of(content, "message")))
        if frame.event != "pusher:connection_established" or "socket_id" not in content:
            raise RequestError(0, f"{where} does not speak the Pusher protocol")
        # The id is signed for each private channel: with an arbitrary text, a server could get any signature.
        self.socket_id = text_of(content, "socket_id")
        wrong = socket_ids.fault(self.socket_id)
        if wrong is not None:
            raise RequestError(0, f"{where} does not speak the Pusher protocol: in its hello, {wrong}")
        asked = content.get("activity_timeout")
        if isinstance(asked, int | float) and asked > 0:
            self._activity_timeout = float(max(_MIN_ACTIVITY_TIMEOUT, min(_MAX_ACTIVITY_TIMEOUT, asked)))

    async def _receive(self) -> str | bytes:
        try:
            try:
                async with asyncio.timeout(self._activity_timeout):
                    return await self._socket.recv()
            except TimeoutError:
                await self._send(_PING)
            async with asyncio.timeout(_PONG_TIMEOUT):
                return await self._socket.recv()
        except TimeoutError:
            self._socket.transport.abort()
            raise ConnectionLostError(
                ConnectionLoss(NO_CLOSE_FRAME, f"no answer to a ping within {_PONG_TIMEOUT:.0f} s")
            ) from None
        except ConnectionClosed as closed:
            raise ConnectionLostError(self._end(closed)) from None

    def _end(self, closed: ConnectionClosed) -> ConnectionLoss:
        sent, received = closed.sent, closed.rcvd
        if sent is not None and (
            received is None or closed.rcvd_then_sent is False
        ):  # this client closed the connection
            if sent.code == TOO_BIG:
                limit = f"the server sent a message of more than max_message_size, {self._max_message_size:,} bytes"
                return ConnectionLoss(sent.code, limit)
            return ConnectionLoss(sent.code, sent.reason)
        if received is not None:
            return ConnectionLoss(received.code, received.reason)
        return ConnectionLoss(NO_CLOSE_FRAME, self._socket.refused)

    async def _send(self, text: str) -> None:
        """Send a text; abort the socket if the server does not read for 30 seconds."""
        try:
            async with asyncio.timeout(_PONG_TIMEOUT):
                await self._socket.send(text)
        except ConnectionClosed:
            return
        except TimeoutError:
            self._socket.transport.abort()


def error_code(content: dict[str, Any]) -> int:
    """Return the code of a ``pusher:error``; 1006 for one without."""
    code = content.get("code")
    return code if isinstance(code, int) and 0 < code < _CODES_END else NO_CLOSE_FRAME


def text_of(content: dict[str, Any], name: str, default: str = "") -> str:
    """Return a text in a server's message; the default where there is none, or another kind of value."""
    text = content.get(name)
    return text if isinstance(text, str) else default


def _tls_context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

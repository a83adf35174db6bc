"""One socket to a Pusher-compatible server, from its hello to its end."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final, NamedTuple

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from soundpost.client.address import socket_url
from soundpost.client.bounded_connection import BoundedConnection
from soundpost.client.incoming import Frame, decode_frame
from soundpost.client.thinned_log import ThinnedLog
from soundpost.errors import ConnectionRefused, RequestError
from soundpost.http_failures import no_answer, unexpected_answer
from soundpost.redaction import redacted_url
from soundpost.wire import socket_id as socket_ids
from soundpost.wire.addresses import is_loopback_url
from soundpost.wire.frames import TOO_BIG
from soundpost.wire.json_text import encode
from soundpost.wire.printable import one_line

ANSWER_TIMEOUT: Final = 10.0
"""Seconds a server may take to answer."""
NO_CLOSE_FRAME: Final = 1006
MAX_MESSAGE_SIZE: Final = 10_485_760
"""Bytes of a message, if nothing else is said: the members of the largest channel come in one."""
_LONGEST_SILENCE: Final = 120.0  # pusher-js's own activity timeout; a server may ask for less
_SHORTEST_SILENCE: Final = 1.0
_PONG_TIMEOUT: Final = 30.0
_MOST_FRAMES: Final = 4
"""That wait for the reader; each may be as large as a message."""
_SHOWN: Final = 100
_CODES_END: Final = 5000
_PING: Final = '{"event":"pusher:ping","data":{}}'


class Lost(NamedTuple):
    """How a socket ended: close code (1006 without one) and reason."""

    code: int
    reason: str

    def refusal(self) -> ConnectionRefused:
        """As what a caller is told who is not to come back."""
        return ConnectionRefused(self.code, self.reason or "the server ended the connection")

    def __str__(self) -> str:
        return f"connection lost ({self.code}{f' {self.reason}' if self.reason else ''})"


class LostError(Exception):
    """A socket ended."""

    def __init__(self, lost: Lost) -> None:
        super().__init__(lost)
        self.lost = lost


class PusherSocket:
    """A socket that has been said hello to; ``socket_id`` is what the server calls it."""

    def __init__(self, socket: BoundedConnection, max_message_size: int, bad_messages: ThinnedLog) -> None:
        self._socket = socket
        self._max_message_size = max_message_size
        self._bad_messages = bad_messages
        self._silence = _LONGEST_SILENCE
        self.socket_id = ""

    @classmethod
    async def open(
        cls, base_url: str, key: str, *, verify: bool, max_message_size: int, bad_messages: ThinnedLog
    ) -> PusherSocket:
        """Connect and wait for the hello. ``max_message_size`` is in bytes.

        Raises RequestError when no Pusher server is there, LostError when the server refuses the connection.
        """
        try:
            socket = await websockets.connect(
                url := socket_url(base_url, key),
                ssl=_tls_context(verify) if url.startswith("wss:") else None,
                proxy=None if is_loopback_url(base_url) else True,
                ping_interval=None,  # the protocol has its own
                open_timeout=ANSWER_TIMEOUT,
                close_timeout=1,
                max_size=max_message_size,
                max_queue=_MOST_FRAMES,
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
        """The next message; after too long a silence, ask for a sign of life first. Raises LostError."""
        while True:
            text = await self._receive()
            frame = decode_frame(text)
            if frame is not None:
                return frame
            self._bad_messages.warning(f"no message of the Pusher protocol, left out: {one_line(text, _SHOWN)}")

    async def send(self, event: str, data: Any, channel: str | None = None) -> None:
        """Send ``data`` as JSON. A socket that is just gone is told by :meth:`receive`, not here."""
        message = {"event": event, "data": data}
        await self._send(encode(message if channel is None else {**message, "channel": channel}).decode())

    async def close(self) -> None:
        """Say goodbye."""
        await self._socket.close()

    async def _hello(self, base_url: str) -> None:
        where = redacted_url(base_url)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                frame = await self.receive()
        except TimeoutError:
            raise RequestError(0, f"{where} took the connection, but said nothing") from None
        content = frame.content()
        if frame.event == "pusher:error":
            # The close code says the same with most servers; Reverb sends none, and may leave the socket open.
            raise LostError(Lost(error_code(content), text_of(content, "message")))
        if frame.event != "pusher:connection_established" or "socket_id" not in content:
            raise RequestError(0, f"{where} does not speak the Pusher protocol")
        # It is signed for each private channel: a server that may choose the text would get any signature it likes.
        self.socket_id = text_of(content, "socket_id")
        wrong = socket_ids.fault(self.socket_id)
        if wrong is not None:
            raise RequestError(0, f"{where} does not speak the Pusher protocol: its hello names {wrong}")
        told = content.get("activity_timeout")
        if isinstance(told, int | float) and told > 0:
            self._silence = float(max(_SHORTEST_SILENCE, min(_LONGEST_SILENCE, told)))

    async def _receive(self) -> str | bytes:
        try:
            try:
                async with asyncio.timeout(self._silence):
                    return await self._socket.recv()
            except TimeoutError:
                await self._send(_PING)
            async with asyncio.timeout(_PONG_TIMEOUT):
                return await self._socket.recv()
        except TimeoutError:
            self._socket.transport.abort()
            raise LostError(Lost(NO_CLOSE_FRAME, f"no sign of life for {_PONG_TIMEOUT:.0f} s")) from None
        except ConnectionClosed as closed:
            raise LostError(self._end(closed)) from None

    def _end(self, closed: ConnectionClosed) -> Lost:
        sent, received = closed.sent, closed.rcvd
        if sent is not None and (received is None or closed.rcvd_then_sent is False):  # it was us who ended it
            if sent.code == TOO_BIG:
                limit = f"the server sent a message of more than max_message_size, {self._max_message_size:,} bytes"
                return Lost(sent.code, limit)
            return Lost(sent.code, sent.reason)
        if received is not None:
            return Lost(received.code, received.reason)
        return Lost(NO_CLOSE_FRAME, self._socket.refused)

    async def _send(self, text: str) -> None:
        """Send; who does not read for so long is gone."""
        try:
            async with asyncio.timeout(_PONG_TIMEOUT):
                await self._socket.send(text)
        except ConnectionClosed:
            return
        except TimeoutError:
            self._socket.transport.abort()


def error_code(content: dict[str, Any]) -> int:
    """The code of a ``pusher:error``; 1006 for one without."""
    code = content.get("code")
    return code if isinstance(code, int) and 0 < code < _CODES_END else NO_CLOSE_FRAME


def text_of(content: dict[str, Any], name: str, default: str = "") -> str:
    """A text in what a server sent; the default for anything else that may be there."""
    text = content.get(name)
    return text if isinstance(text, str) else default


def _tls_context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

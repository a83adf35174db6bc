"""One socket to a Pusher-compatible server, from its hello to its end."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final, NamedTuple

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from soundpost.client.address import is_loopback, socket_url
from soundpost.client.failures import no_answer, unexpected_answer
from soundpost.client.incoming import Frame, decode_frame
from soundpost.errors import ConnectionRefused, RequestError
from soundpost.redaction import redacted_url
from soundpost.wire import socket_id as socket_ids
from soundpost.wire.json_text import encode

ANSWER_TIMEOUT: Final = 10.0
"""Seconds a server may take to answer."""
NO_CLOSE_FRAME: Final = 1006
_LONGEST_SILENCE: Final = 120.0  # pusher-js's own activity timeout; a server may ask for less
_PONG_TIMEOUT: Final = 30.0
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

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._silence = _LONGEST_SILENCE
        self.socket_id = ""

    @classmethod
    async def open(cls, base_url: str, key: str, *, verify: bool) -> PusherSocket:
        """Connect and wait for the hello.

        Raises RequestError when no Pusher server is there, LostError when the server refuses the connection.
        """
        try:
            socket = await websockets.connect(
                url := socket_url(base_url, key),
                ssl=_tls_context(verify) if url.startswith("wss:") else None,
                proxy=None if is_loopback(base_url) else True,
                ping_interval=None,  # the protocol has its own
                open_timeout=ANSWER_TIMEOUT,
                close_timeout=1,
                max_size=None,
                user_agent_header="soundpost",
            )
        except InvalidStatus as error:
            answer = error.response
            headers = {name.lower(): value for name, value in answer.headers.raw_items()}
            raise unexpected_answer(base_url, answer.status_code, headers, bytes(answer.body or b"")) from None
        except (OSError, WebSocketException) as error:
            raise no_answer(base_url, error) from None
        self = cls(socket)
        try:
            await self._hello(base_url)
        except BaseException:
            await self.close()
            raise
        return self

    async def receive(self) -> Frame:
        """The next message; after too long a silence, ask for a sign of life first. Raises LostError."""
        while True:
            frame = decode_frame(await self._receive())
            if frame is not None:
                return frame

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
            raise LostError(Lost(error_code(content), str(content.get("message", ""))))
        if frame.event != "pusher:connection_established" or "socket_id" not in content:
            raise RequestError(0, f"{where} does not speak the Pusher protocol")
        # It is signed for each private channel: a server that may choose the text would get any signature it likes.
        wrong = socket_ids.fault(content["socket_id"])
        if wrong is not None:
            raise RequestError(0, f"{where} does not speak the Pusher protocol: its hello names {wrong}")
        self.socket_id = content["socket_id"]
        told = content.get("activity_timeout")
        if isinstance(told, int | float) and told > 0:
            self._silence = min(_LONGEST_SILENCE, float(told))

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
            end = closed.rcvd
            raise LostError(Lost(end.code, end.reason) if end else Lost(NO_CLOSE_FRAME, "")) from None

    async def _send(self, text: str) -> None:
        try:
            await self._socket.send(text)
        except ConnectionClosed:
            return


def error_code(content: dict[str, Any]) -> int:
    """The code of a ``pusher:error``; 1006 for one without."""
    code = content.get("code")
    return code if isinstance(code, int) else NO_CLOSE_FRAME


def _tls_context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

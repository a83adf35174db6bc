"""A kept-alive HTTP/1.1 connection to a server's API.

httpx takes about 0.4 ms of CPU for a request, which would make the publisher the bottleneck at 2,000 events a second.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, cast
from urllib.parse import urlsplit

from soundpost.broadcasting.drivers.http_wire import AnswerReader, HttpAnswer, NotHttpError
from soundpost.tools.bench.messages import Endpoint

ANSWER_TIMEOUT: Final = 10.0
"""Seconds that a server may take to answer."""


class ApiConnection:
    """A connection that is opened when first needed, and again after the server has closed it."""

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._host = urlsplit(endpoint.base_url).hostname if tls else None
        self._protocol: _Protocol | None = None

    async def connect(self) -> None:
        """Connect, unless connected already. Raises OSError and TimeoutError."""
        if self._protocol is not None and self._protocol.usable:
            return
        async with asyncio.timeout(ANSWER_TIMEOUT):
            _, self._protocol = await asyncio.get_running_loop().create_connection(
                _Protocol, self._endpoint.address, self._endpoint.port, ssl=self._tls, server_hostname=self._host
            )

    async def request(self, data: bytes) -> HttpAnswer:
        """Send a whole request, and return its answer. Raises OSError and TimeoutError."""
        assert self._protocol is not None
        answer = self._protocol.send(data)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await answer
        except TimeoutError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._protocol is not None:
            self._protocol.transport.abort()
            self._protocol = None


class _Protocol(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self._reader = AnswerReader()
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self.usable = True

    def send(self, data: bytes) -> asyncio.Future[HttpAnswer]:
        self._answer = asyncio.get_running_loop().create_future()
        self._reader = AnswerReader()
        if self.transport.is_closing():
            self._answer.set_exception(ConnectionResetError("the server closed the connection"))
        else:
            self.transport.write(data)
        return self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop has classes of its own

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except NotHttpError as error:
            self._fail(ConnectionError(f"no HTTP: {error}"))
            self.transport.abort()
            return
        if self._reader.answer is None:
            return
        self.usable = self._reader.keeps_alive
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._reader.answer)
        if not self.usable:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail(exc or ConnectionResetError("the server closed the connection"))

    def _fail(self, error: Exception) -> None:
        self.usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

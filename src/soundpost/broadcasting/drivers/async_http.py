"""Kept HTTP connections for the tasks of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from errno import ECONNREFUSED
from typing import Final, cast

from soundpost.broadcasting.drivers.http_address import HttpAddress
from soundpost.broadcasting.drivers.http_wire import AnswerReader, HttpAnswer, NotHttpError

MAX_CONNECTIONS: Final = 50
"""Connections open at a time; further requests wait."""


class AsyncConnections:
    """Connections to one address, for any number of tasks of the running loop. ``connect_timeout`` in seconds."""

    def __init__(self, address: HttpAddress, connect_timeout: float) -> None:
        self._address = address
        self._connect_timeout = connect_timeout
        self._idle: list[HttpConnection] = []
        self._limit = asyncio.Semaphore(MAX_CONNECTIONS)
        self._end = self._close_with_the_loop()
        with suppress(StopIteration):  # begun, it is the loop's to finish
            self._end.__anext__().send(None)

    async def exchange(self, request: bytes) -> HttpAnswer:
        """Send a request and return the answer; the caller sets a timeout around the call.

        Raises OSError (TimeoutError among them), EOFError, NotHttpError.
        """
        async with self._limit:
            connection = self._take() or await self._connect()
            try:
                answer = await connection.exchange(request)
            except BaseException:
                connection.close()
                raise
            if connection.is_open:
                self._idle.append(connection)
            return answer

    def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            self._idle.pop().close()

    async def _close_with_the_loop(self) -> AsyncGenerator[None]:
        """Close idle connections when the loop shuts down: each async view of a WSGI application has a loop."""
        try:
            yield
        finally:
            self.close()
            await asyncio.sleep(0)  # for the transports to close

    def _take(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self) -> HttpConnection:
        address = self._address
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect_timeout):
            transport, connection = await loop.create_connection(
                HttpConnection,
                address.host,
                address.port,
                ssl=address.tls,
                server_hostname=address.host if address.is_tls else None,
            )
        if transport.get_extra_info("sockname") == transport.get_extra_info("peername"):
            transport.abort()
            raise ConnectionRefusedError(ECONNREFUSED, "the kernel connected it to itself: nobody listens there")
        return connection


class HttpConnection(asyncio.Protocol):
    """A connection for one request at a time."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.WriteTransport
        self._reader = AnswerReader()
        self._waiting: asyncio.Future[HttpAnswer] | None = None

    async def exchange(self, request: bytes) -> HttpAnswer:
        """Send a request and return the answer. Raises OSError, EOFError, NotHttpError."""
        self._reader = AnswerReader()
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        """Close the connection at once."""
        self.is_open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note that the connection is open."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop has transport classes of its own
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        if self._waiting is None or self._waiting.done():
            self.close()  # the server speaks unasked
            return
        try:
            self._reader.feed(data)
        except NotHttpError as error:
            self._resolve(error)
        else:
            self._resolve(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is closed, which may be the end of the answer."""
        self.is_open = False
        if exc is not None:
            self._resolve(exc)
            return
        try:
            self._reader.end()
        except EOFError as error:
            self._resolve(error)
        else:
            self._resolve(None)

    def _resolve(self, error: Exception | None) -> None:
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if error is not None:
            waiting.set_exception(error)
        elif self._reader.answer is not None:
            if not self._reader.keeps_alive:
                self.close()
            waiting.set_result(self._reader.answer)

"""Kept HTTP connections for the tasks of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from soundpost.broadcasting.drivers.http_address import HttpAddress
from soundpost.http_client_connection import HttpClientConnection, connect
from soundpost.wire.http_exchange import HttpAnswer

MAX_CONNECTIONS: Final = 50
"""Connections open at a time; further requests wait."""


class AsyncConnections:
    """Connections to one address, for any number of tasks of the running loop. ``connect_timeout`` in seconds."""

    def __init__(self, address: HttpAddress, connect_timeout: float) -> None:
        self._address = address
        self._connect_timeout = connect_timeout
        self._idle: list[HttpClientConnection] = []
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
            answer = await connection.exchange(request)
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

    def _take(self) -> HttpClientConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self) -> HttpClientConnection:
        async with asyncio.timeout(self._connect_timeout):
            return await connect(self._address.host, self._address.port, self._address.tls)

"""A client's HTTP connection in asyncio: one request at a time, and kept between requests."""

from __future__ import annotations

import asyncio
import ssl
from errno import ECONNREFUSED
from typing import cast

from soundpost.wire.http_exchange import AnswerReader, HttpAnswer, NotHttpError


async def connect(
    host: str, port: int, tls: ssl.SSLContext | None = None, server_name: str | None = None
) -> HttpClientConnection:
    """Return a new connection to a host or an address. The caller bounds the time.

    With ``tls``, the certificate is asked for, and checked, by ``server_name``; that is ``host`` if it is None.
    Raises OSError, ssl.SSLError among them.
    """
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(
        lambda: HttpClientConnection(host),
        host,
        port,
        ssl=tls,
        server_hostname=(server_name or host) if tls is not None else None,
    )
    if transport.get_extra_info("sockname") == transport.get_extra_info("peername"):
        transport.abort()
        raise ConnectionRefusedError(ECONNREFUSED, "the kernel connected it to itself: nobody listens there")
    return connection


class HttpClientConnection(asyncio.Protocol):
    """A connection for one request at a time. ``address`` is the host or address that it was asked to connect to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_open = False
        self._transport: asyncio.WriteTransport
        self._reader = AnswerReader()
        self._waiting: asyncio.Future[HttpAnswer] | None = None

    async def exchange(self, request: bytes, reader: AnswerReader | None = None) -> HttpAnswer:
        """Send a request, and return the answer as ``reader`` reads it, by default a new AnswerReader.

        A connection whose exchange fails or is cancelled is closed. Raises OSError, EOFError, NotHttpError.
        """
        self._reader = AnswerReader() if reader is None else reader
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        except BaseException:
            self.close()
            raise
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
            if not self._reader.keeps_alive or self._transport.get_write_buffer_size():  # answered before it was read
                self.close()
            waiting.set_result(self._reader.answer)

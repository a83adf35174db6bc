"""A kept-alive HTTP/1.1 connection to a server's API.

httpx takes about 0.4 ms of CPU for a request, which would make the publisher the bottleneck at 2,000 events a second.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

from soundpost.http_client_connection import HttpClientConnection, connect
from soundpost.tools.bench.messages import Endpoint
from soundpost.wire.http_exchange import HttpAnswer, NotHttpError

ANSWER_TIMEOUT: Final = 10.0
"""Seconds that a server may take to answer."""


class ApiConnection:
    """A connection that is opened when first needed, and again after the server has closed it."""

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._host = urlsplit(endpoint.base_url).hostname if tls else None
        self._connection: HttpClientConnection | None = None

    async def connect(self) -> None:
        """Connect to the server, unless connected already. Raises OSError and TimeoutError."""
        if self._connection is not None and self._connection.is_open:
            return
        async with asyncio.timeout(ANSWER_TIMEOUT):
            self._connection = await connect(self._endpoint.address, self._endpoint.port, self._tls, self._host)

    async def request(self, data: bytes) -> HttpAnswer:
        """Send a whole request, and return its answer. Raises OSError and TimeoutError."""
        assert self._connection is not None
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await self._connection.exchange(data)
        except TimeoutError:
            self.close()
            raise
        except EOFError:
            raise ConnectionResetError("the server closed the connection") from None
        except NotHttpError as error:
            self.close()
            raise ConnectionError(f"no HTTP: {error}") from None

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

"""The connections to one endpoint over HTTP/1.1."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Final

from soundpost.http_client_connection import HttpClientConnection, connect
from soundpost.http_failures import no_answer
from soundpost.server.webhooks.addresses import AddressRefused, Resolver
from soundpost.server.webhooks.answers import Answer
from soundpost.server.webhooks.endpoint_url import EndpointUrl, split_endpoint_url
from soundpost.wire.http_exchange import HeadReader, HttpAnswer, request_bytes

_KEPT: Final = 75.0
"""Seconds that an idle connection is kept."""
_MIN_CONNECT_TIMEOUT: Final = 1.0


class HttpClient:
    """The connections to the endpoint at one URL: one is kept for ``kept`` seconds, as long as nothing is sent.

    Redirects are not followed, and proxies of the environment not used.
    """

    def __init__(self, url: str, resolver: Resolver, *, kept: float = _KEPT) -> None:
        self._url = url
        self._parts: EndpointUrl | None = None
        self._fault = ""
        try:
            self._parts = split_endpoint_url(url)
        except ValueError as error:
            self._fault = f"the URL cannot be read: {error}"
        self._tls = trusted_authorities() if self._parts is not None and self._parts.is_tls else None
        self._kept = _KeptConnection(kept)
        self._resolver = resolver
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, body: bytes, headers: dict[str, str], timeout: float, then: Callable[[Answer], None]) -> None:
        """Send a request; call back with the answer, or after ``timeout`` seconds with a fault."""
        task = asyncio.ensure_future(self._post(body, headers, timeout, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(
        self, body: bytes, headers: Mapping[str, str], seconds: float, then: Callable[[Answer], None]
    ) -> None:
        reader = HeadReader()
        fault = self._fault
        try:
            if self._parts is not None:
                async with asyncio.timeout(seconds):
                    await self._exchange(self._parts, _request(self._parts, body, headers), reader, seconds)
        except AddressRefused as error:
            fault = str(error)
        except TimeoutError:
            fault = f"no answer within {seconds:g} s"
        except (ConnectionResetError, BrokenPipeError):
            fault = "the connection was lost before an answer came"
        except Exception as error:
            fault = str(no_answer(self._url, error))
        then(Answer(0, fault) if reader.head is None else _answer(reader.head))

    async def _exchange(self, url: EndpointUrl, request: bytes, reader: HeadReader, seconds: float) -> None:
        """Send a request on the kept connection, or on a new one to the first address that takes it.

        The endpoint may close the kept connection at the moment at which a request is sent. If no byte of an answer
        has come then, the request is sent once more: a receiver knows events by their ids.
        """
        addresses = await self._resolver.addresses_of(url.host, url.port)
        kept = self._kept.take(addresses)
        if kept is not None:
            try:
                await kept.exchange(request, reader)
            except (OSError, EOFError):
                if reader.has_begun:
                    raise
            else:
                self._kept.keep(kept)
                return
        connection = await self._connect(url, addresses, seconds)
        await connection.exchange(request, reader)
        self._kept.keep(connection)

    async def _connect(self, url: EndpointUrl, addresses: list[str], seconds: float) -> HttpClientConnection:
        """Connect to the first of the addresses that answers. Raises OSError."""
        *others, last = addresses
        share = max(seconds / len(addresses), _MIN_CONNECT_TIMEOUT)
        for address in others:
            with suppress(OSError):
                async with asyncio.timeout(share):
                    return await connect(address, url.port, self._tls, url.host)
        try:
            return await connect(last, url.port, self._tls, url.host)
        except ConnectionResetError as error:  # after the connection was taken, in the handshake
            raise ssl.SSLError(str(error)) from error

    def close(self) -> None:
        """Close all connections; a request under way is given up."""
        for task in self._tasks:
            task.cancel()
        self._kept.close()


class _KeptConnection:
    """The connection that waits for the next request, if there is one, for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._connection: HttpClientConnection | None = None
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def take(self, addresses: list[str]) -> HttpClientConnection | None:
        """Return the connection, which is the caller's from now on, if it is open and to one of the addresses."""
        connection, self._connection = self._connection, None
        if connection is None or not connection.is_open:
            return None
        if connection.address not in addresses:
            connection.close()
            return None
        return connection

    def keep(self, connection: HttpClientConnection) -> None:
        """Keep a connection if it is open, and none is kept."""
        if not connection.is_open:
            return
        if self._connection is not None and self._connection.is_open:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        self._connection, self._since = connection, loop.time()
        if self._timer is None:  # one timer for many requests
            self._timer = loop.call_later(self._seconds, self._close_idle)

    def _close_idle(self) -> None:
        self._timer = None
        if self._connection is None:
            return
        loop = asyncio.get_running_loop()
        left = self._since + self._seconds - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._close_idle)
        else:
            self.close()

    def close(self) -> None:
        """Close the kept connection, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _request(url: EndpointUrl, body: bytes, headers: Mapping[str, str]) -> bytes:
    fields = dict(headers)
    names = {name.lower() for name in headers}
    if "accept" not in names:
        fields["Accept"] = "*/*"
    if url.credentials and "authorization" not in names:
        fields["Authorization"] = url.credentials
    return request_bytes("POST", url.target, url.host_header, body, fields)


def _answer(head: HttpAnswer) -> Answer:
    headers = head.headers
    return Answer(
        head.status, retry_after=_text(headers.get("retry-after", "")), location=_text(headers.get("location", ""))
    )


def _text(value: str) -> str:
    """Return the value of a header without outer blanks, as UTF-8 if it is that."""
    value = value.strip()
    try:
        return value if value.isascii() else value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Return the certificate authorities of the system, or of ``SSL_CERT_FILE``."""
    context = ssl.create_default_context()
    if not context.get_ca_certs() and not context.cert_store_stats()["x509_ca"]:
        import certifi

        context.load_verify_locations(certifi.where())
    return context

"""The connections to one endpoint over HTTP/1.1, by httpx."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Final

import httpx

from soundpost.http_failures import no_answer
from soundpost.server.webhooks.addresses import AddressRefused, Resolver
from soundpost.server.webhooks.answers import Answer

_MOST_OF_AN_ANSWER: Final = 65_536
"""Bytes of an answer's body that are read, so that its connection can be kept."""
_KEPT: Final = 75.0
"""Seconds that an idle connection is kept."""
_SHORTEST_CONNECT: Final = 1.0

_LOADED_LATE: Final = ("httpcore", "httpcore._backends.anyio", "httpcore._async.http11", "anyio._backends._asyncio")
"""Modules that httpx would import with the first request, which would stop the event loop for 30 ms."""
for _name in _LOADED_LATE:
    with suppress(ImportError):  # other versions may have other ones
        import_module(_name)


class HttpClient:
    """The connections to the endpoint at one URL: at most one, as long as requests follow one another.

    Redirects are not followed, and proxies of the environment not used. A client has connections of its own, so that
    none that was made for the certificate of another host is used.
    """

    def __init__(self, url: str, resolver: Resolver) -> None:
        self._url = url
        is_tls = url[:6].lower() == "https:"
        transport = _Transport(resolver, verify=trusted_authorities() if is_tls else False)
        self._client = httpx.AsyncClient(transport=transport, timeout=None, trust_env=False, follow_redirects=False)
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, body: bytes, headers: dict[str, str], timeout: float, then: Callable[[Answer], None]) -> None:
        """Send a request; call back with the answer, or after ``timeout`` seconds with a fault."""
        task = asyncio.ensure_future(self._post(body, headers, timeout, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, body: bytes, headers: dict[str, str], seconds: float, then: Callable[[Answer], None]) -> None:
        answer: Answer | None = None
        try:
            async with (
                asyncio.timeout(seconds),
                self._client.stream(
                    "POST", self._url, content=body, headers=headers, extensions={"timeout": {"connect": seconds}}
                ) as response,
            ):
                answer = Answer(
                    response.status_code,
                    retry_after=response.headers.get("retry-after", ""),
                    location=response.headers.get("location", ""),
                )
                await _read_some(response)
        except AddressRefused as error:
            answer = Answer(0, str(error))
        except TimeoutError:
            answer = answer or Answer(0, f"no answer within {seconds:g} s")
        except (httpx.ReadError, httpx.WriteError):
            answer = answer or Answer(0, "the connection was lost before an answer came")
        except Exception as error:  # httpx and what is below it raise many classes, one for a URL that it cannot read
            answer = answer or Answer(0, str(no_answer(self._url, error)))
        then(answer)

    def close(self) -> None:
        """Close all connections; a request under way is given up."""
        for task in self._tasks:
            task.cancel()
        self._tasks.add(asyncio.ensure_future(self._close(list(self._tasks))))

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        if tasks:
            await asyncio.wait(tasks)
        await self._client.aclose()


async def _read_some(response: httpx.Response) -> None:
    """Read the body of an answer, or its beginning: then the connection is closed."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > _MOST_OF_AN_ANSWER:
            return


class _Transport(httpx.AsyncHTTPTransport):
    """A transport that connects to the addresses that a resolver has found, and allowed, and to no other ones."""

    def __init__(self, resolver: Resolver, *, verify: ssl.SSLContext | bool) -> None:
        super().__init__(
            verify=verify,
            trust_env=False,
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=_KEPT),
        )
        self._resolver = resolver

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first address of its host that takes it.

        TLS asks for the certificate of the host's name; ``Host`` names it too.
        """
        host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
        *others, last = await self._resolver.addresses_of(host, port)
        timeout = request.extensions["timeout"]["connect"] / (len(others) + 1)
        for address in others:
            try:
                return await super().handle_async_request(
                    _to_address(request, address, max(timeout, _SHORTEST_CONNECT))
                )
            except (httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent
                continue
        return await super().handle_async_request(_to_address(request, last, None))


def _to_address(request: httpx.Request, address: str, connect_timeout: float | None) -> httpx.Request:
    content = request.stream
    assert isinstance(content, AsyncIterable)
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=content,
        extensions={"timeout": {"connect": connect_timeout}, "sni_hostname": request.url.raw_host.decode("ascii")},
    )


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Return what certificates are checked with: the authorities of the system, or of ``SSL_CERT_FILE``."""
    context = ssl.create_default_context()
    if not context.get_ca_certs() and not context.cert_store_stats()["x509_ca"]:
        import certifi

        context.load_verify_locations(certifi.where())
    return context

"""Authorization by an application's auth endpoint, as pusher-js and laravel-echo ask for it.

Source: https://pusher.com/docs/channels/server_api/authorizing-users/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from soundpost.client.arguments import check_http_url, check_seconds, check_texts
from soundpost.client.authorization import ChannelAuth, UserAuth
from soundpost.errors import ConfigurationError, RequestError
from soundpost.http_failures import authorization_refused, no_answer
from soundpost.redaction import redacted_url
from soundpost.wire.addresses import is_loopback_url
from soundpost.wire.channel_names import kind_of
from soundpost.wire.foreign import object_in

Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]
_MAX_CONNECTIONS: Final = 10
MAX_ANSWER: Final = 1_048_576
"""Bytes of an answer."""


@dataclass
class _Pool:
    """The connections of an event loop to the application, and the number of requests under way."""

    http: httpx.AsyncClient
    requests: int = 0


@dataclass(frozen=True)
class EndpointAuthorizer:
    """An authorizer that asks an application; any number of clients may share one. Made by :func:`from_endpoint`."""

    url: str
    user_url: str | None
    method: str
    params: Mapping[str, str]
    cookies: Mapping[str, str] = field(repr=False)
    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    verify: bool
    timeout: float
    transport: httpx.AsyncBaseTransport | None = field(repr=False)
    _pools: dict[asyncio.AbstractEventLoop, _Pool] = field(default_factory=dict, repr=False, compare=False)

    async def __call__(self, socket_id: str, channel: str) -> ChannelAuth | None:
        """Return the authorization of a socket for a channel; None for a public one. Raises RequestError."""
        kind = kind_of(channel)
        if not kind.needs_auth:
            return None
        answer = await self._ask(self.url, {"socket_id": socket_id, "channel_name": channel})
        return ChannelAuth(
            _text(self.url, answer, "auth"),
            _text(self.url, answer, "channel_data") if answer.get("channel_data") is not None else None,
            _text(self.url, answer, "shared_secret") if kind.is_encrypted else None,
        )

    async def user(self, socket_id: str) -> UserAuth:
        """Return the authorization of a sign-in. Raises RequestError, and ConfigurationError without a user URL."""
        if self.user_url is None:
            raise ConfigurationError(
                f"signing in: {redacted_url(self.url)} does not end with /auth, so give user_url too"
            )
        answer = await self._ask(self.user_url, {"socket_id": socket_id})
        return UserAuth(_text(self.user_url, answer, "auth"), _text(self.user_url, answer, "user_data"))

    async def _ask(self, url: str, parameters: dict[str, str]) -> dict[str, Any]:
        form = {**self.params, **parameters}
        headers = {"Accept": "application/json", **self.headers()}
        try:
            async with self._connected() as http, self._asked(http, url, headers, form) as answer:
                async with asyncio.timeout(self.timeout):
                    body = await _body(answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise no_answer(url, error) from None
        if answer.status_code != 200:
            raise authorization_refused(url, answer.status_code, answer.headers, body)
        found = object_in(body)
        if found is None:
            raise RequestError(200, f"{redacted_url(url)} answered 200, but not with a JSON object")
        return found

    def _asked(
        self, http: httpx.AsyncClient, url: str, headers: dict[str, str], form: dict[str, str]
    ) -> AbstractAsyncContextManager[httpx.Response]:
        if self.method == "GET":
            return http.stream("GET", url, headers=headers, params=form)
        return http.stream("POST", url, headers=headers, data=form)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[httpx.AsyncClient]:
        """Yield connections that all requests under way share, and that are closed after the last of them.

        So the user of an endpoint has nothing to close, and a reconnection with a hundred channels does not make a
        hundred connections.
        """
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            self._pools[loop] = _Pool(self._new_client())
        pool = self._pools[loop]
        pool.requests += 1
        try:
            yield pool.http
        finally:
            pool.requests -= 1
            if not pool.requests:
                del self._pools[loop]
                await pool.http.aclose()

    def _new_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            cookies=dict(self.cookies),
            timeout=httpx.Timeout(self.timeout, pool=None),  # the server is not to blame for waiting in our pool
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
            verify=self.verify,
            transport=self.transport,
            trust_env=not is_loopback_url(self.url),
        )


def from_endpoint(
    url: str,
    *,
    user_url: str | None = None,
    bearer: str | None = None,
    headers: Headers | None = None,
    cookies: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    method: str = "POST",
    verify: bool = True,
    timeout: float = 10.0,
    transport: httpx.AsyncBaseTransport | None = None,
) -> EndpointAuthorizer:
    """Return an authorizer that asks an application's auth endpoint, as ``https://example.com/broadcasting/auth``.

    ``user_url`` is asked for sign-in; without a ``user_url``, ``…/auth`` becomes ``…/user-auth``. ``bearer`` is sent as
    ``Authorization: Bearer …``. ``headers`` may be a function that is called for every request. ``params`` are sent
    along with ``socket_id`` and ``channel_name``: as a form, or in the query with ``method="GET"``. ``timeout`` is in
    seconds. Every status but 200 is a refusal, a redirect to a login page included: RequestError with that status.
    Raises ConfigurationError for a wrong argument.
    """
    check_http_url(url, "the address of the auth endpoint")
    if user_url is not None:
        check_http_url(user_url, "user_url")
    check_seconds(timeout, "timeout")
    if method not in ("GET", "POST"):
        raise ConfigurationError(f"method {method!r}: an auth endpoint is asked by GET or POST")
    for what, given in (("headers", headers), ("cookies", cookies), ("params", params)):
        if given is not None and not callable(given):
            check_texts(given, what)
    if timeout <= 0:
        raise ConfigurationError(f"timeout is {timeout}: seconds above 0 are expected")
    if bearer and not bearer.isprintable():
        raise ConfigurationError(
            "bearer has a line break or another control character: a token on one line is expected"
        )
    usual = {"Authorization": f"Bearer {bearer}"} if bearer else {}

    def current() -> Mapping[str, str]:
        if not callable(headers):
            return {**usual, **(headers or {})}
        found = headers()
        check_texts(found, "the return value of the function for headers")
        return {**usual, **found}

    return EndpointAuthorizer(
        url=url,
        user_url=user_url or (f"{url.removesuffix('auth')}user-auth" if url.endswith("/auth") else None),
        method=method,
        params=params or {},
        cookies=cookies or {},
        headers=current,
        verify=verify,
        timeout=timeout,
        transport=transport,
    )


async def _body(answer: httpx.Response) -> bytes:
    """Return the whole body. Raises ValueError for one of more than MAX_ANSWER bytes."""
    body = bytearray()
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > MAX_ANSWER:
            raise ValueError(f"an answer of more than {MAX_ANSWER:,} bytes")
    return bytes(body)


def _text(url: str, answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise RequestError(200, f"the answer of {redacted_url(url)} has no string '{name}'")
    return value

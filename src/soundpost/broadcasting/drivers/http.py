"""Publish over the HTTP API of Soundpost, Reverb, Pusher and whatever else speaks it.

Connections are kept and shared by all threads of a process, and by all tasks of an event loop; a forked process makes
its own. They are direct: proxies in the environment are for browsers, and not used. Source: https://pusher.com/docs/channels/library_auth_reference/rest-api/#post-event-trigger-an-event
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

from soundpost.broadcasting.circuit import Circuit
from soundpost.broadcasting.drivers.async_http import AsyncConnections
from soundpost.broadcasting.drivers.blocking_http import BlockingConnections
from soundpost.broadcasting.drivers.http_address import HttpAddress
from soundpost.broadcasting.drivers.http_wire import HttpAnswer, NotHttpError, request_bytes
from soundpost.broadcasting.drivers.requests import ApiRequest, requests_for
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import BroadcastError
from soundpost.http_failures import no_answer, unexpected_answer
from soundpost.per_process import PerProcess
from soundpost.wire.addresses import split_url
from soundpost.wire.foreign import object_in, time_in
from soundpost.wire.signatures import signed_query

_BACK_OFF: Final = 0.1
"""Seconds before the second and last attempt."""
_MAY_PASS: Final = (502, 503)
"""What a proxy answers while the server is being restarted."""
_SKEW: Final = 60.0
"""Seconds by which clocks must differ to be named as a reason."""
_OfLoops = WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncConnections]
_FAILURES: Final = (OSError, EOFError, UnicodeError, NotHttpError)
"""Whatever can go wrong between a host name, which may be none for the resolver, and the end of an answer."""
_SIGNATURE: Final = re.compile(r"[0-9a-f]{32,}")


class HttpDriver:
    """Sends messages as one app of a server."""

    blocks = True

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._base = settings.base_url
        self._address = HttpAddress.of(settings)
        self._app_path = f"{settings.path}/apps/{quote(settings.app_id, safe='')}"
        self._circuit = PerProcess(Circuit)
        self._blocking = PerProcess(self._new_blocking, BlockingConnections.forget)
        self._async: PerProcess[_OfLoops] = PerProcess(WeakKeyDictionary)

    @classmethod
    def at(
        cls, base_url: str, app_id: str, key: str, secret: str, *, timeout: float, verify: bool | str = True
    ) -> HttpDriver:
        """Return the driver of an app whose server has this address, as ``https://ws.example.com/ws``.

        Errors name the address as it is given here. ``timeout`` is in seconds. Raises AddressError.
        """
        parts = split_url(base_url)
        driver = cls(
            ConnectionSettings(
                app_id=app_id,
                key=key,
                secret=secret,
                scheme=parts.scheme,
                host=parts.hostname or "",
                port=parts.port or (443 if parts.scheme == "https" else 80),
                path=parts.path.rstrip("/"),
                timeout=timeout,
                connect_timeout=timeout,
                verify=verify,
            )
        )
        driver._base = base_url
        return driver

    def send(self, messages: Sequence[Message]) -> None:
        """Send them, each request within ``timeout``. Raises BroadcastError."""
        for request in requests_for(messages, self._settings):
            self._take(self._exchange("POST", request.path, request.body, request.what, request.headers), request)

    async def asend(self, messages: Sequence[Message]) -> None:
        """The same, without blocking the event loop."""
        for request in requests_for(messages, self._settings):
            answer = await self._aexchange("POST", request.path, request.body, request.what, request.headers)
            self._take(answer, request)

    def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Ask the API; ``path`` is below ``/apps/ID``, with its slash. Raises BroadcastError."""
        data = b"" if body is None else _encode(body)
        what = f"{method} {path}"
        return self._decoded(self._exchange(method, path, data, what, _once(method), query), what)

    async def arequest(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The same, without blocking the event loop."""
        data = b"" if body is None else _encode(body)
        what = f"{method} {path}"
        return self._decoded(await self._aexchange(method, path, data, what, _once(method), query), what)

    def close(self) -> None:
        """Close the connections of the threads."""
        self._blocking().close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        connections = self._async().pop(asyncio.get_running_loop(), None)
        if connections is not None:
            connections.close()

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes,
        what: str,
        headers: dict[str, str],
        query: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        self._check_circuit(what)
        deadline = time.monotonic() + self._settings.timeout
        for last in (False, True):
            try:
                answer = self._blocking().exchange(self._signed(method, path, body, headers, query), deadline)
            except _FAILURES as error:
                if last or not _worth_another(error) or time.monotonic() + _BACK_OFF >= deadline:
                    raise self._lost(what, error) from None
            else:
                if last or answer.status not in _MAY_PASS:
                    return answer
            time.sleep(_BACK_OFF)
        raise AssertionError

    async def _aexchange(
        self,
        method: str,
        path: str,
        body: bytes,
        what: str,
        headers: dict[str, str],
        query: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        self._check_circuit(what)
        try:
            async with asyncio.timeout(self._settings.timeout):
                for last in (False, True):
                    try:
                        answer = await self._connections().exchange(self._signed(method, path, body, headers, query))
                    except _FAILURES as error:
                        if last or not _worth_another(error):
                            raise
                    else:
                        if last or answer.status not in _MAY_PASS:
                            return answer
                    await asyncio.sleep(_BACK_OFF)
        except _FAILURES as error:
            raise self._lost(what, error) from None
        raise AssertionError

    def _check_circuit(self, what: str) -> None:
        reason = self._circuit().refusal()
        if reason is not None:
            raise _error(what, reason)

    def _lost(self, what: str, error: BaseException) -> BroadcastError:
        reason = str(no_answer(self._base, error))
        self._circuit().failed(reason)
        return _error(what, reason)

    def _take(self, answer: HttpAnswer, request: ApiRequest) -> None:
        if answer.status == 413:
            raise _error(request.what, f"{self._refusal(answer)}. {request.largest()}", 413)
        self._decoded(answer, request.what)

    def _decoded(self, answer: HttpAnswer, what: str) -> dict[str, Any]:
        if answer.status >= 500:
            self._circuit().failed(f"{self._base} answered {answer.status}")
        else:
            self._circuit().succeeded()
        if answer.status == 200:
            value = object_in(answer.body or b"{}")
            if value is not None:
                return value
        raise _error(what, self._refusal(answer), answer.status)

    def _refusal(self, answer: HttpAnswer) -> str:
        """The server's reason, without the digests and signatures that some servers put into it."""
        reason = str(unexpected_answer(self._base, answer.status, answer.headers, answer.body))
        reason = _SIGNATURE.sub("…", reason)
        if answer.status != 401 or "clocks differ" in reason:
            return reason
        told = time_in(answer.headers.get("date", ""))
        skew = 0.0 if told is None else told - time.time()
        if abs(skew) < _SKEW:
            return reason
        ahead = "ahead of" if skew > 0 else "behind"
        return f"{reason}; the server's clock is {abs(skew):.0f} s {ahead} this machine's: set both by NTP"

    def _signed(
        self, method: str, path: str, body: bytes, headers: dict[str, str], query: Mapping[str, str] | None
    ) -> bytes:
        path = f"{self._app_path}{path}"
        settings = self._settings
        parameters = signed_query(settings.key, settings.secret, method, path, int(time.time()), body=body, query=query)
        return request_bytes(method, f"{path}?{urlencode(parameters)}", self._address.host_header, body, headers)

    def _connections(self) -> AsyncConnections:
        loop = asyncio.get_running_loop()
        of_loops = self._async()
        connections = of_loops.get(loop)
        if connections is None:
            connections = AsyncConnections(self._address, self._settings.connect_timeout)
            of_loops[loop] = connections
        return connections

    def _new_blocking(self) -> BlockingConnections:
        return BlockingConnections(self._address, self._settings.connect_timeout)


def _once(method: str) -> dict[str, str]:
    """What lets a request that is sent again be known as the same."""
    return {"Idempotency-Key": secrets.token_urlsafe(12)} if method == "POST" else {}


def _error(what: str, reason: str, status: int = 0) -> BroadcastError:
    return BroadcastError(f"{what}: {reason}", status, reason=reason)


def _worth_another(error: BaseException) -> bool:
    """A kept connection was closed meanwhile, or the server is just being restarted."""
    return isinstance(error, EOFError | ConnectionError)


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

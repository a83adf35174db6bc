"""The driver that publishes over Pusher's HTTP API: to Soundpost, Reverb, Pusher and others.

Connections are kept. All threads of a process share them, and all tasks of an event loop; a forked process makes its
own. Proxies in the environment are not used: they are for browsers.
Source: https://pusher.com/docs/channels/library_auth_reference/rest-api/#post-event-trigger-an-event
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
from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.blocking_http import BlockingConnections
from soundpost.broadcasting.drivers.conversation import Conversations
from soundpost.broadcasting.drivers.failures import Errors, error_of_all, failed
from soundpost.broadcasting.drivers.http_address import HttpAddress
from soundpost.broadcasting.drivers.requests import REPEAT, ApiRequest
from soundpost.broadcasting.drivers.turns import TaskTurns, ThreadTurns
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.retry import RetryPolicy
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.broadcasting.tracing import trace_headers
from soundpost.errors import BroadcastError
from soundpost.http_failures import no_answer, unexpected_answer
from soundpost.per_process import PerProcess
from soundpost.wire.addresses import split_url
from soundpost.wire.foreign import object_in, time_in
from soundpost.wire.http_exchange import HttpAnswer, NotHttpError, request_bytes
from soundpost.wire.signatures import signed_query

RETRY_POLICY: Final = RetryPolicy(backoff=(0.1,), attempts=2)
_RETRYABLE_STATUSES: Final = (502, 503)
"""Answers of a proxy while the server is being restarted."""
_SKEW: Final = 60.0
"""Seconds by which two clocks must differ to be named as a reason."""
_Connections = WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncConnections]
_Turns = WeakKeyDictionary[asyncio.AbstractEventLoop, TaskTurns]
_FAILURES: Final = (OSError, EOFError, UnicodeError, NotHttpError)
"""Exceptions between looking up the host's name, which may be none for the resolver, and the end of an answer."""
_SIGNATURE: Final = re.compile(r"[0-9a-f]{32,}")


class HttpDriver:
    """Sends messages and asks the API as one app of a server."""

    blocks = True

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._base = settings.base_url
        self._address = HttpAddress.of(settings)
        self._app_path = f"{settings.path}/apps/{quote(settings.app_id, safe='')}"
        self._circuit = PerProcess(Circuit)
        self._blocking = PerProcess(self._new_blocking, BlockingConnections.forget)
        self._async: PerProcess[_Connections] = PerProcess(WeakKeyDictionary)
        self._conversations = Conversations(settings, self._refusal)
        self._thread_turns = PerProcess(lambda: ThreadTurns(self.send_each, self._limit, settings.timeout))
        self._task_turns: PerProcess[_Turns] = PerProcess(WeakKeyDictionary)

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
        """Send messages, in order, each request within ``timeout`` of the connection. Raises BroadcastError."""
        if self._goes_alone(messages):
            _raise_all(self.send_each(messages, None))
        else:
            self._thread_turns().publish(messages)

    async def asend(self, messages: Sequence[Message]) -> None:
        """Send messages, in order, without blocking the event loop. Raises BroadcastError."""
        if self._goes_alone(messages):
            _raise_all(await self.asend_each(messages, None))
        else:
            await self._turns().publish(messages)

    @property
    def batch_limit(self) -> BatchLimit | None:
        """The limit of large batches; None for a server that has told none."""
        return self._conversations.limit

    def send_each(self, messages: Sequence[Message], limit: BatchLimit | None) -> Errors:
        """Send messages, in order, in batches within a ``limit``, and return the errors of those that were refused.

        The batches have no messages of other callers. Raises BroadcastError if the server has failed, or refuses all.
        """
        conversation = self._conversations.publish(messages, limit)
        try:
            request = next(conversation)
            while True:
                answer = self._exchange("POST", request.path, request.body, request.description, _headers(request))
                self._note(answer)
                request = conversation.send(answer)
        except StopIteration as end:
            errors: Errors = end.value
            return errors

    async def asend_each(self, messages: Sequence[Message], limit: BatchLimit | None) -> Errors:
        """Send messages without blocking the event loop, as :meth:`send_each`."""
        conversation = self._conversations.publish(messages, limit)
        try:
            request = next(conversation)
            while True:
                what, headers = request.description, _headers(request)
                answer = await self._aexchange("POST", request.path, request.body, what, headers)
                self._note(answer)
                request = conversation.send(answer)
        except StopIteration as end:
            errors: Errors = end.value
            return errors

    def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a request to ``path`` below ``/apps/ID``, and return the JSON of the answer. Raises BroadcastError."""
        data = b"" if body is None else _encode(body)
        what = f"{method} {path}"
        return self._decoded(self._exchange(method, path, data, what, _idempotency_key(method), query), what)

    async def arequest(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a request without blocking the event loop, as :meth:`request`."""
        data = b"" if body is None else _encode(body)
        what = f"{method} {path}"
        return self._decoded(await self._aexchange(method, path, data, what, _idempotency_key(method), query), what)

    def close(self) -> None:
        """Close the connections of all threads."""
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
        failures = 0
        while True:
            failures += 1
            pause = RETRY_POLICY.pause_after(failures)
            try:
                answer = self._blocking().exchange(self._signed(method, path, body, headers, query), deadline)
            except _FAILURES as error:
                if pause is None or not is_retryable(error) or time.monotonic() + pause >= deadline:
                    raise self._lost(what, error) from None
            else:
                if pause is None or not is_retryable(answer):
                    return answer
            headers = _as_repeat(headers)
            time.sleep(pause)

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
                failures = 0
                while True:
                    failures += 1
                    pause = RETRY_POLICY.pause_after(failures)
                    try:
                        answer = await self._connections().exchange(self._signed(method, path, body, headers, query))
                    except _FAILURES as error:
                        if pause is None or not is_retryable(error):
                            raise
                    else:
                        if pause is None or not is_retryable(answer):
                            return answer
                    headers = _as_repeat(headers)
                    await asyncio.sleep(pause)
        except _FAILURES as error:
            raise self._lost(what, error) from None

    def _check_circuit(self, what: str) -> None:
        reason = self._circuit().refusal()
        if reason is not None:
            raise failed(what, reason)

    def _lost(self, what: str, error: BaseException) -> BroadcastError:
        reason = str(no_answer(self._base, error))
        self._circuit().failed(reason)
        return failed(what, reason)

    def _note(self, answer: HttpAnswer) -> None:
        if answer.status >= 500:
            self._circuit().failed(f"{self._base} answered {answer.status}")
        else:
            self._circuit().succeeded()

    def _decoded(self, answer: HttpAnswer, what: str) -> dict[str, Any]:
        self._note(answer)
        if answer.status == 200:
            value = object_in(answer.body or b"{}")
            if value is not None:
                return value
        raise failed(what, self._refusal(answer), answer.status)

    def _refusal(self, answer: HttpAnswer) -> str:
        """Return the server's reason, without the digests and signatures that some servers put into it."""
        reason = str(unexpected_answer(self._base, answer.status, answer.headers, answer.body))
        reason = _SIGNATURE.sub("…", reason)
        if answer.status != 401 or "clocks differ" in reason:
            return reason
        server_time = time_in(answer.headers.get("date", ""))
        skew = 0.0 if server_time is None else server_time - time.time()
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
        headers = {"User-Agent": "soundpost", **headers}
        if body or method != "GET":
            headers["Content-Type"] = "application/json"
        return request_bytes(method, f"{path}?{urlencode(parameters)}", self._address.host_header, body, headers)

    def _connections(self) -> AsyncConnections:
        loop = asyncio.get_running_loop()
        of_loops = self._async()
        connections = of_loops.get(loop)
        if connections is None:
            connections = AsyncConnections(self._address, self._settings.connect_timeout)
            of_loops[loop] = connections
        return connections

    def _turns(self) -> TaskTurns:
        loop = asyncio.get_running_loop()
        of_loops = self._task_turns()
        turns = of_loops.get(loop)
        if turns is None:
            turns = of_loops[loop] = TaskTurns(self.asend_each, self._limit, self._settings.timeout)
        return turns

    def _goes_alone(self, messages: Sequence[Message]) -> bool:
        """Return whether messages share no batch with those of other callers.

        Other servers take small batches only, for which callers would wait in vain. A message that may have been sent
        before is known by the key of its request: it goes in a small batch, and in the same company as then.
        """
        return self._conversations.limit is None or any(message.repeated for message in messages)

    def _limit(self) -> BatchLimit:
        return self._conversations.limit or BatchLimit.of_small(self._settings)

    def _new_blocking(self) -> BlockingConnections:
        return BlockingConnections(self._address, self._settings.connect_timeout)


def _raise_all(errors: Errors) -> None:
    if errors:
        raise error_of_all(errors)


def _headers(request: ApiRequest) -> dict[str, str]:
    return request.headers | trace_headers()


def _idempotency_key(method: str) -> dict[str, str]:
    """Return the header by which a server knows a retried request as the same."""
    return {"Idempotency-Key": secrets.token_urlsafe(12)} if method == "POST" else {}


def _as_repeat(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers of a request that is sent again; only one with an idempotency key says so."""
    return headers | REPEAT if headers else headers


def is_retryable(outcome: HttpAnswer | BaseException) -> bool:
    """Return whether another attempt may succeed: after a lost connection, or the 502 or 503 of a proxy.

    A kept connection may have been closed meanwhile; a server may just be being restarted.
    """
    if isinstance(outcome, BaseException):
        return isinstance(outcome, EOFError | ConnectionError)
    return outcome.status in _RETRYABLE_STATUSES


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

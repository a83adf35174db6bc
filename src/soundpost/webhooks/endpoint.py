"""``/broadcasting/webhooks`` for any framework: from a request's parts to a response.

A request that is not a webhook of the application's apps is answered with 401, 400 or 413. After a failed handler the
answer is 500, and the server sends the events again. Reasons go to the log ``soundpost.webhooks``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from soundpost.broadcasting.authorization.body import announces_overlong_body, read_limited
from soundpost.broadcasting.authorization.steps import Steps, arun_steps, run_steps
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.errors import ConfigurationError, SoundpostError, WebhookError
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.webhooks import tracing
from soundpost.webhooks.events import WebhookEvent, parse
from soundpost.webhooks.handlers import ANY
from soundpost.webhooks.registry import AlreadyRunning, Failure, Invoke, SignalSender, Webhooks, call_plainly
from soundpost.webhooks.signature import MAX_BODY, verify
from soundpost.wire.json_text import encode

log = logging.getLogger("soundpost.webhooks")

HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}
"""Headers of every response."""
OVERLONG_BODY: Final = bytes(MAX_BODY + 1)
"""A stand-in for a longer body, which was not read."""


class WebhookResponse(NamedTuple):
    """An HTTP response: its status, and its body, which is always JSON."""

    status: int
    body: str


def is_overlong(headers: Mapping[str, str]) -> bool:
    """Return whether headers announce a body above 1 MiB, so that it need not be read."""
    return announces_overlong_body(headers.get("content-length"), MAX_BODY)


async def read_body(headers: Mapping[str, str], chunks: AsyncIterable[bytes]) -> bytes:
    """Return a body in one piece, read no further than the chunk that exceeds 1 MiB."""
    return OVERLONG_BODY if is_overlong(headers) else await read_limited(chunks, MAX_BODY)


@dataclass(slots=True, eq=False)
class WebhookEndpoint:
    """An endpoint that verifies webhooks and calls their handlers, with settings for the framework it belongs to."""

    webhooks: Webhooks
    """The handlers of webhooks."""
    settings: Callable[[], BroadcastSettings]
    """Returns the application's settings, whose apps sign; may raise ConfigurationError."""
    run_async: Callable[[Awaitable[Any]], Any] | None = None
    """Runs a coroutine in synchronous code; None: ``asyncio.run``."""
    run_sync: Callable[..., Awaitable[Any]] = asyncio.to_thread
    """Runs a blocking function in asynchronous code."""
    invoke: Invoke = call_plainly
    """Returns the call of a handler with the features of the framework."""
    send_signal: SignalSender | None = None
    """Returns the call that sends a signal for an event, before its handlers are called; None without signals."""
    has_receivers: Callable[[], bool] = lambda: False
    """Returns True if the signal has receivers: then events without a handler are wanted too."""

    _throttle: LogThrottle = field(default_factory=lambda: LogThrottle(log), init=False, repr=False)

    def wanted(self) -> frozenset[str]:
        """Return the names of the events that there are handlers or receivers for; ``*`` among them stands for all."""
        return self.webhooks.names() | ({ANY} if self.has_receivers() else set())

    def events(self, body: bytes, headers: Mapping[str, str]) -> list[WebhookEvent]:
        """Return the events of a request. Raises WebhookError for a wrong one, ConfigurationError without any app."""
        secrets = self._secrets()
        verify(body, headers, secrets)
        return parse(body)

    def respond(self, body: bytes, headers: Mapping[str, str]) -> WebhookResponse:
        """Return the response to a request, whose handlers are called in synchronous code. Never raises."""
        try:
            events = self.events(body, headers)
            with _trace_of(headers):
                return _response(run_steps(self._steps(events), self.run_async))
        except Exception as error:
            return self._refusal(error)

    async def arespond(self, body: bytes, headers: Mapping[str, str], invoke: Invoke | None = None) -> WebhookResponse:
        """Return the response to a request without blocking the event loop. Never raises.

        ``invoke`` calls the handlers for this request.
        """
        try:
            events = self.events(body, headers)
            with _trace_of(headers):
                return _response(await self.ahandle(events, invoke))
        except Exception as error:
            return self._refusal(error)

    async def ahandle(self, events: list[WebhookEvent], invoke: Invoke | None = None) -> list[Failure]:
        """Call the handlers of events without blocking the event loop; return those that failed, which is logged."""
        return await arun_steps(self._steps(events, invoke), self.run_sync)

    def _steps(self, events: list[WebhookEvent], invoke: Invoke | None = None) -> Steps[list[Failure]]:
        return self.webhooks.steps(events, invoke or self.invoke, self.send_signal)

    def _secrets(self) -> Mapping[str, str]:
        """Return the secrets of the apps by their keys. Raises ConfigurationError if there are none."""
        of_settings = {
            each.key: each.secret for each in self.settings().connections.values() if each.key and each.secret
        }
        found = {**of_settings, **self.webhooks.secrets}
        if not found:
            raise ConfigurationError(
                "webhooks cannot be verified: no app is configured: set SOUNDPOST_APP_KEY and SOUNDPOST_APP_SECRET"
            )
        return found

    def _refusal(self, error: Exception) -> WebhookResponse:
        if isinstance(error, WebhookError):
            self._throttle.warn(f"refused {error.status}", "a webhook was refused: %s", error, interval=MINUTE)
            return WebhookResponse(error.status, _json(str(error)))
        if isinstance(error, SoundpostError):
            log.error("webhooks are refused because of a mistake in the application: %s", error)
        else:
            log.error("webhooks are not taken", exc_info=error)
        return WebhookResponse(500, _json("the application's log has the reason"))


def _trace_of(headers: Mapping[str, str]) -> AbstractContextManager[object]:
    return nullcontext() if tracing.tracer is None else tracing.tracer.received(headers)


def _response(failures: list[Failure]) -> WebhookResponse:
    if not failures:
        return WebhookResponse(200, "{}")
    names = ", ".join(sorted({each.handler for each in failures}))
    status = 503 if all(isinstance(each.error, AlreadyRunning) for each in failures) else 500
    return WebhookResponse(status, _json(f"failed: {names}; the application's log has the reasons"))


def _json(reason: str) -> str:
    return encode({"error": reason}).decode()

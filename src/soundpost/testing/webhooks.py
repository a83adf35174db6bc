"""Webhooks in tests: events that are played into the handlers, and signed requests for a test client."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from soundpost import __version__
from soundpost.broadcasting import broadcast
from soundpost.broadcasting.authorization.steps import Steps, arun_steps, run_steps
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.defaults import TEST_APP
from soundpost.errors import ConfigurationError, WebhookError
from soundpost.suggestions import did_you_mean
from soundpost.testing.authorization import run_anywhere
from soundpost.webhooks import EVENTS, WebhookEvent, Webhooks, default, event_from
from soundpost.webhooks.client_data import NotCalled
from soundpost.webhooks.endpoint import WebhookEndpoint
from soundpost.wire.json_text import encode
from soundpost.wire.webhook_request import webhook_body, webhook_headers

_numbers: Final = itertools.count(1)


class SignedWebhook(NamedTuple):
    """A request that an application takes as the server's."""

    body: bytes
    headers: dict[str, str]


class WebhookTester:
    """A tester of handlers, by default those of :mod:`soundpost.webhooks`; in FastAPI give it ``sp.webhooks``.

    Each event has a new id, so that none counts as a repetition. Handlers with FastAPI's dependencies need a request:
    send :func:`signed_webhook` by a test client.
    """

    def __init__(self, webhooks: Webhooks = default) -> None:
        self._endpoint = _endpoint_of(webhooks)

    def play(self, event: str | WebhookEvent, /, **fields: Any) -> list[str]:
        """Call the handlers of an event, given by its name and fields, and return the names of those called.

        ``data`` of a client event may be any JSON value. Raises what a handler raises, ValueError for a wrong event.
        A handler is not called if the data are not what it is annotated with.
        """
        return run_steps(self._steps(_made(event, fields)), self._endpoint.run_async or run_anywhere)

    async def aplay(self, event: str | WebhookEvent, /, **fields: Any) -> list[str]:
        """Call the handlers of an event as :meth:`play` does, in the event loop of an asynchronous test."""
        return await arun_steps(self._steps(_made(event, fields)), self._endpoint.run_sync)

    def _steps(self, event: WebhookEvent) -> Steps[list[str]]:
        called = []
        send_signal = None if self._endpoint.send_signal is None else self._endpoint.send_signal(event)
        if send_signal is not None:
            yield send_signal
        for handler in list(self._endpoint.webhooks):
            channel_parameters = handler.match(event)
            if channel_parameters is None:
                continue
            try:
                yield self._endpoint.invoke(handler, handler.arguments(event, channel_parameters))
            except NotCalled:
                continue
            called.append(handler.name)
        return called


def signed_webhook(*events: WebhookEvent, key: str | None = None, secret: str | None = None) -> SignedWebhook:
    """Return body and headers of a request with events, signed by the application's app unless another is given.

    An event without an id gets one, and one without a time the current one. Raises TypeError for anything but events.
    """
    for each in events:
        if not isinstance(each, WebhookEvent):
            raise TypeError(f"{each!r:.100}: events such as MemberAdded(…) are expected, each as its own argument")
    app = _app_of_application()
    key, secret = key or app.key, secret or app.secret
    body = webhook_body(map(_json, _complete(events)), int(time.time() * 1000))
    return SignedWebhook(body, webhook_headers(key, secret, body, __version__, {}))


def _made(event: str | WebhookEvent, fields: dict[str, Any]) -> WebhookEvent:
    if isinstance(event, WebhookEvent):
        return next(iter(_complete([event])))
    if not isinstance(event, str):
        raise TypeError(f"{event!r:.100}: the name of an event, or an event such as MemberAdded(…), is expected")
    if event not in EVENTS:
        raise ValueError(f"{event!r} is not the name of an event{did_you_mean(event, EVENTS)}")
    unknown = [name for name in fields if name not in EVENTS[event].__struct_fields__]
    if unknown:
        known = [name for name in EVENTS[event].__struct_fields__ if name != "name"]
        raise ValueError(f"{event} has no field {unknown[0]!r}; it has {', '.join(known)}")
    data = fields.get("data", "")
    if event == "client_event" and not isinstance(data, str):
        fields = {**fields, "data": encode(data).decode()}
    try:
        made = event_from({**fields, "name": event}, f"play({event!r})")
    except WebhookError as error:
        raise ValueError(str(error)) from None
    return next(iter(_complete([made])))


def _complete(events: Iterable[WebhookEvent]) -> Iterable[WebhookEvent]:
    for event in events:
        fields = event.as_dict()
        fields["id"] = event.id or f"test-{next(_numbers)}"
        fields["time_ms"] = event.time_ms or int(time.time() * 1000)
        yield event_from(fields)


def _json(event: WebhookEvent) -> bytes:
    return encode({name: value for name, value in event.as_dict().items() if value is not None})


def _endpoint_of(webhooks: Webhooks) -> WebhookEndpoint:
    """Return the endpoint that calls the handlers as the application's framework does."""
    django: Any = sys.modules.get("soundpost.django.webhook_view")
    if webhooks is default and django is not None:
        endpoint: WebhookEndpoint = django.endpoint
        return endpoint
    return WebhookEndpoint(webhooks, lambda: broadcast.settings)


def _app_of_application() -> ConnectionSettings:
    of_tests = ConnectionSettings(app_id=TEST_APP["app_id"], key=TEST_APP["key"], secret=TEST_APP["secret"])
    try:
        own = broadcast.settings.connection()
    except ConfigurationError:
        return of_tests
    return own if own.key and own.secret else of_tests

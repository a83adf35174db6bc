"""Handlers of webhooks in the application around an embedded server, which are called without HTTP.

The dispatcher sends them what it sends to any endpoint: in order, with ends held back, and again after a failure.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any, Final

import msgspec

from soundpost.broadcasting import broadcast
from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.core.webhooks import MORE_EVENTS, PUSHER_EVENTS
from soundpost.server.webhooks.answers import Answer
from soundpost.webhooks import Webhooks, default, parse
from soundpost.webhooks.endpoint import WebhookEndpoint
from soundpost.webhooks.handlers import ANY

log = logging.getLogger("soundpost.webhooks")

URL: Final = "http://this-process/webhooks"
"""Stands for the application's handlers among the URLs of endpoints."""
_DJANGO_MODULE: Final = "soundpost.django.webhook_view"
"""A module that is imported where Django is set up with this package among its apps."""


def endpoint_of(webhooks: Webhooks | WebhookEndpoint | None) -> WebhookEndpoint:
    """Return the caller of handlers; for None the one of :mod:`soundpost.webhooks`, or Django's own."""
    if isinstance(webhooks, WebhookEndpoint):
        return webhooks
    django: Any = sys.modules.get(_DJANGO_MODULE)
    if webhooks is None and django is not None:
        endpoint: WebhookEndpoint = django.embedded_endpoint
        return endpoint
    return WebhookEndpoint(default if webhooks is None else webhooks, lambda: broadcast.settings)


def with_handlers(apps: Iterable[AppSettings], endpoint: WebhookEndpoint) -> tuple[AppSettings, ...]:
    """Return apps with one more endpoint: the handlers, for the events that they handle."""
    wanted = endpoint.wanted()
    known = PUSHER_EVENTS + MORE_EVENTS
    events = known if ANY in wanted else tuple(name for name in known if name in wanted)
    if not events:
        return tuple(apps)
    settings = WebhookSettings(url=URL, events=events)
    return tuple(msgspec.structs.replace(app, webhooks=(*app.webhooks, settings)) for app in apps)


class HandlerClient:
    """Client that calls the handlers; an :class:`soundpost.server.webhooks.answers.EndpointClient`."""

    def __init__(self, endpoint: WebhookEndpoint) -> None:
        self._endpoint = endpoint
        self._task: asyncio.Task[None] | None = None

    def post(self, body: bytes, headers: dict[str, str], timeout: float, then: Callable[[Answer], Any]) -> None:
        """Call the handlers of the events in a body; call back with 200, or with 500 if one failed.

        A handler may take longer than ``timeout``: the next events wait for it.
        """
        # Whatever request came last set the time of sending: its trace, batch and socket id are not meant here.
        self._task = asyncio.get_running_loop().create_task(self._post(body, then), context=Context())

    async def _post(self, body: bytes, then: Callable[[Answer], Any]) -> None:
        try:
            failures = await self._endpoint.ahandle(parse(body))
        except Exception:
            log.exception("webhooks could not be passed to their handlers")
            then(Answer(500))
        else:
            then(Answer(500 if failures else 200))

    def close(self) -> None:
        """Wait for no handler any more."""
        if self._task is not None:
            self._task.cancel()

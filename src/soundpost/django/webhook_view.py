"""The view that takes webhooks: it checks the signature, and calls handlers and receivers of the signal.

The view is exempt from the CSRF token and from ``ATOMIC_REQUESTS``: a handler that fails must undo nothing of another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import close_old_connections, transaction
from django.http import HttpResponse, HttpResponseNotAllowed

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.authorization import Denied
from soundpost.broadcasting.authorization.steps import Call
from soundpost.django.endpoint import model_instance, run_async, run_sync
from soundpost.django.signals import webhook_received
from soundpost.django.views import exempt
from soundpost.webhooks import MAX_BODY, WebhookEvent, default
from soundpost.webhooks.client_data import NotCalled
from soundpost.webhooks.endpoint import HEADERS, OVERLONG_BODY, WebhookEndpoint, is_overlong
from soundpost.webhooks.handlers import Handler


def _send_signal(event: WebhookEvent) -> Callable[[], Any] | None:
    """Return the call that sends the signal; None without receivers."""
    sender = type(event)
    if not webhook_received.has_listeners(sender):
        return None
    return Call(webhook_received.send, sender, event=event)


def _invoke(handler: Handler, arguments: dict[str, Any]) -> Callable[[], Any]:
    """Return the call of a handler, whose parameters in the pattern may be annotated with models."""
    return Call(_call_with_models, handler, arguments)


def _call_with_models(handler: Handler, arguments: dict[str, Any]) -> Any:
    for name, source in handler.sources.items():
        if source == "pattern":
            try:
                found = model_instance(handler.annotations.get(name), arguments[name])
            except (Denied, ObjectDoesNotExist) as error:
                raise NotCalled(str(error)) from None
            if found is not NotImplemented:
                arguments[name] = found
    return handler.callback(**arguments)


async def _run_sync_outside_of_requests(function: Callable[[], Any]) -> Any:
    """Return the result of a blocking function; outside of requests Django does not close old database connections."""

    def call() -> Any:
        close_old_connections()
        try:
            return function()
        finally:
            close_old_connections()

    return await run_sync(call)


endpoint = WebhookEndpoint(
    default,
    lambda: broadcast.settings,
    run_async=run_async,
    run_sync=run_sync,
    invoke=_invoke,
    send_signal=_send_signal,
    has_receivers=lambda: bool(webhook_received.receivers),
)
"""The endpoint for the handlers in ``webhooks.py`` of all apps."""
embedded_endpoint = replace(endpoint, run_sync=_run_sync_outside_of_requests)
"""Caller of the handlers for an embedded server, without HTTP."""


def _webhooks(request: Any) -> Any:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    body = OVERLONG_BODY if is_overlong(request.headers) else request.read(MAX_BODY + 1)
    answer = endpoint.respond(body, request.headers)
    return HttpResponse(answer.body, status=answer.status, headers=HEADERS)


webhooks = transaction.non_atomic_requests(exempt(_webhooks))
"""The view that takes webhooks."""

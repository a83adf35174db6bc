"""Handlers of webhooks with dependencies, called as path operations of private applications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import FastAPI, Request, Response

from soundpost.broadcasting.authorization.steps import Call
from soundpost.fastapi.dispatch import add_operation, private_application, route_errors, send_privately
from soundpost.fastapi.operations import RequestOutcome, handler_operation
from soundpost.webhooks import Webhooks
from soundpost.webhooks.endpoint import HEADERS, WebhookEndpoint, read_body
from soundpost.webhooks.handlers import Handler
from soundpost.webhooks.registry import call_plainly


class HandlerCaller:
    """A caller of handlers, which gives those that want dependencies theirs."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self._application: FastAPI | None = None
        self._private_apps: WeakKeyDictionary[FastAPI, dict[Handler, FastAPI]] = WeakKeyDictionary()

    def invoke(self, request: Request, handler: Handler, arguments: dict[str, Any]) -> Callable[[], Any]:
        """Return the call of a handler, as a step; ``request`` is the one that dependencies get."""
        if not handler.dependencies:
            return Call(handler.callback, **arguments)
        return partial(self._call, request, handler, arguments)

    def invoke_without_request(self, handler: Handler, arguments: dict[str, Any]) -> Callable[[], Any]:
        """Return the call of a handler by an embedded server: dependencies get a request without headers."""
        if self._application is None:
            return call_plainly(handler, arguments)
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
        return self.invoke(Request({**scope, "app": self._application}), handler, arguments)

    def start(self, application: FastAPI) -> None:
        """Attach the handlers to an application. Raises RouteError for dependencies that FastAPI cannot call."""
        self._application = application
        for handler in self._webhooks:
            if handler.dependencies:
                self._private_app(application, handler)

    async def _call(self, request: Request, handler: Handler, arguments: dict[str, Any]) -> None:
        private = self._private_app(request.app, handler)
        await send_privately(private, request, "/", RequestOutcome(arguments=arguments))

    def _private_app(self, application: FastAPI, handler: Handler) -> FastAPI:
        apps = self._private_apps.setdefault(application, {})
        if handler not in apps:
            private = private_application(application)
            with route_errors("webhook handler", handler.callback):
                add_operation(private, "/", handler_operation(handler))
            apps[handler] = private
        return apps[handler]


def webhook_handler(endpoint: WebhookEndpoint, caller: HandlerCaller) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of the route ``webhooks``."""

    async def webhooks(request: Request) -> Response:
        body = await read_body(request.headers, request.stream())
        answer = await endpoint.arespond(body, request.headers, partial(caller.invoke, request))
        return Response(answer.body, answer.status, headers=HEADERS)

    return webhooks

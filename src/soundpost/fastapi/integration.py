"""The extension for FastAPI: Starlette's, with dependencies in channel routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

from fastapi import APIRouter, Request

from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.broadcasting.authorization.known_endpoints import remember_endpoint
from soundpost.broadcasting.authorization.patterns import Pattern
from soundpost.broadcasting.authorization.routes import ChannelRoute, RouteKind
from soundpost.broadcasting.authorization.users import check_finder
from soundpost.broadcasting.browser import LIBRARIES
from soundpost.fastapi.dispatch import RouteDispatcher, route_errors
from soundpost.fastapi.endpoint import DependencyEndpoint
from soundpost.fastapi.injection import check_declared
from soundpost.fastapi.operations import PROVIDED
from soundpost.fastapi.webhooks import HandlerCaller, webhook_handler
from soundpost.starlette import integration
from soundpost.starlette.integration import AUTH, USER_AUTH
from soundpost.starlette.requests import auth_handlers, library_handler
from soundpost.webhooks.endpoint import WebhookEndpoint


class DependencyRoutes(ChannelRoutes):
    """Channel routes whose functions have the parameters of the pattern, and FastAPI's dependencies."""

    def add(self, kind: RouteKind, pattern: str, callback: Callable[..., Any], **options: Any) -> ChannelRoute:
        """Add a route, and return it. Raises RouteError for a wrong route, and for one that overlaps with another."""
        given = [*Pattern(pattern).parameters, *PROVIDED]
        # What an annotation names may come later in the module: then the start finds it.
        with route_errors(f"channel route {pattern!r}", callback), suppress(NameError):
            check_declared(callback, given, known=given)
        return super().add(kind, pattern, callback, injects=True, **options)


class Soundpost(integration.Soundpost):
    """Broadcasting for one application.

    - ``settings``: a mapping, or keywords, with the settings of :func:`soundpost.configure`. Without settings, the
      broadcaster stays as it is.
    - ``broadcaster``: the broadcaster that the settings configure, by default :func:`soundpost.broadcast`.
    - ``channels``: the channel routes, by default new ones.
    - ``webhooks``: the handlers of webhooks, by default those of :mod:`soundpost.webhooks`.

    Raises ConfigurationError for wrong settings.

    FastAPI calls the functions of channel routes like path operations: with ``Depends``, validation, and the
    application's ``dependency_overrides``. A parameter ``user`` without a dependency gets the user of :meth:`router`,
    a parameter ``ctx`` the :class:`~soundpost.broadcasting.authorization.Context`.
    """

    @cached_property  # no __init__ of its own: editors show the arguments of Starlette's
    def _dispatchers(self) -> list[RouteDispatcher]:
        return []

    @cached_property
    def _handler_caller(self) -> HandlerCaller:
        return HandlerCaller(self.webhooks)

    def _embedded_endpoint(self) -> WebhookEndpoint:
        return replace(self._webhook_endpoint, invoke=self._handler_caller.invoke_without_request)

    @staticmethod
    def _default_channels() -> ChannelRoutes:
        return DependencyRoutes()

    def router(self, *, user: Callable[..., Any], url_prefix: str = "/broadcasting") -> APIRouter:
        """Return a router with ``auth``, ``user-auth`` and ``config`` for laravel-echo, libraries, and ``webhooks``.

        ``user`` is a dependency that returns the user, or None for nobody; an HTTPException means nobody, too.
        ``url_prefix`` is the path before the routes. ``config`` answers with the options of ``new Echo(…)``,
        ``pusher.min.js``, ``echo.iife.js`` and ``soundpost-resume.min.js`` with the libraries. ``webhooks`` is for the
        server. Raises RouteError for a ``user`` that is not a function.
        """
        check_finder(user, "a dependency without Depends(…), which returns the user")
        dispatcher = RouteDispatcher(self.channels, user)
        self._dispatchers.append(dispatcher)
        endpoint = remember_endpoint(
            DependencyEndpoint(self.channels, lambda: self.broadcast.settings, dispatcher=dispatcher)
        )
        router = APIRouter(prefix=url_prefix.rstrip("/"), include_in_schema=False)
        auth, user_auth = auth_handlers(endpoint, _unused)
        methods = ["GET", "POST"]
        router.add_api_route("/auth", auth, methods=methods, name=AUTH, response_model=None)
        router.add_api_route("/user-auth", user_auth, methods=methods, name=USER_AUTH, response_model=None)
        webhooks = webhook_handler(self._webhook_endpoint, self._handler_caller)
        router.add_api_route("/webhooks", webhooks, methods=["POST"], response_model=None)
        router.add_api_route("/config", self.config, methods=["GET"], response_model=None)
        for library in LIBRARIES:
            router.add_api_route(
                f"/{library.file}", library_handler(library.file), methods=["GET"], response_model=None
            )
        return router

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Run with the application: check channel routes and settings; send waiting events and close at the end.

        ``FastAPI(lifespan=sp.lifespan)``. Raises RouteError for a channel route or handler that FastAPI cannot call.
        """
        self._handler_caller.start(app)
        for dispatcher in self._dispatchers:
            dispatcher.check(app)
        async with super().lifespan(app):
            yield


def _unused(request: Request, guard: str | None) -> Any:
    """Stand in for the function that finds users: here dependencies do."""
    raise NotImplementedError

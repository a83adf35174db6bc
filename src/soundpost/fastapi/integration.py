"""What a FastAPI application makes one of: Starlette's, with dependencies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import APIRouter, Request, Response

from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.broadcasting.authorization.patterns import Pattern
from soundpost.broadcasting.authorization.routes import Presence, Route
from soundpost.fastapi.dispatch import Dispatcher, told_of
from soundpost.fastapi.endpoint import DependencyEndpoint
from soundpost.fastapi.injection import check_declared
from soundpost.fastapi.operations import PROVIDED
from soundpost.starlette import integration
from soundpost.starlette.integration import AUTH, USER_AUTH
from soundpost.starlette.requests import auth_request, response


class DependencyRoutes(ChannelRoutes):
    """Channel routes whose functions are FastAPI's: their parameters are those of the pattern, and dependencies."""

    def add(self, kind: Presence, pattern: str, callback: Callable[..., Any], **options: Any) -> Route:
        """Add a route. Raises RouteError if it is wrong, or if another matches a name that it matches."""
        given = {*Pattern(pattern).parameters, *PROVIDED}
        # What an annotation names may come later in the module: then the start finds it.
        with told_of(f"channel route {pattern!r}", callback), suppress(NameError):
            check_declared(callback, given)
        return super().add(kind, pattern, callback, injects=True, **options)


class Soundpost(integration.Soundpost):
    """Broadcasting for one application.

    Functions decorated by ``channels`` are called as path operations are: with ``Depends``, validation, and the
    application's ``dependency_overrides``. A parameter called ``user`` without a dependency of its own gets the user
    of :meth:`router`, ``ctx`` the :class:`~soundpost.broadcasting.authorization.Context`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dispatchers: list[Dispatcher] = []

    @staticmethod
    def _own_channels() -> ChannelRoutes:
        return DependencyRoutes()

    def router(self, *, user: Callable[..., Any], url_prefix: str = "/broadcasting") -> APIRouter:
        """The routes that laravel-echo and pusher-js ask, and ``config`` with the options of ``new Echo(…)``.

        ``user`` is a dependency that gives the user, or None; if it raises an HTTPException, nobody is logged in.
        """
        dispatcher = Dispatcher(self.channels, user)
        self._dispatchers.append(dispatcher)
        endpoint = DependencyEndpoint(self.channels, lambda: self.broadcast.settings, dispatcher=dispatcher)
        router = APIRouter(prefix=url_prefix, include_in_schema=False)

        async def auth(request: Request) -> Response:
            return response(await endpoint.achannel(await auth_request(request, _unused)))

        async def user_auth(request: Request) -> Response:
            return response(await endpoint.auser(await auth_request(request, _unused)))

        methods = ["GET", "POST"]
        router.add_api_route("/auth", auth, methods=methods, name=AUTH, response_model=None)
        router.add_api_route("/user-auth", user_auth, methods=methods, name=USER_AUTH, response_model=None)
        router.add_api_route("/config", self.config, methods=["GET"], response_model=None)
        return router

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Of the application: checks channel routes and settings; at the end sends what waits, and closes.

        Raises RouteError for a channel route that FastAPI cannot call.
        """
        for dispatcher in self._dispatchers:
            dispatcher.check(app)
        async with super().lifespan(app):
            yield


def _unused(guard: str | None) -> Any:
    """Users are found by dependencies."""
    raise NotImplementedError

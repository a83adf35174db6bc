"""The auth endpoint of FastAPI, whose channel routes are called as path operations."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest, Context, Denied
from soundpost.broadcasting.authorization.endpoint import decided
from soundpost.broadcasting.authorization.routes import RouteMatch
from soundpost.broadcasting.authorization.steps import Steps
from soundpost.errors import RouteError
from soundpost.fastapi.dispatch import RouteDispatcher


@dataclass(slots=True, eq=False)
class DependencyEndpoint(AuthEndpoint):
    """An endpoint that answers auth requests by channel routes with dependencies."""

    dispatcher: RouteDispatcher = field(kw_only=True)
    """Calls channel routes as path operations."""

    def decide_channel(self, request: AuthRequest, ctx: Context, match: RouteMatch) -> Steps[tuple[Any, Any]]:
        """Return the user and what the channel route returned. Raises Denied unless that is truthy.

        Route and user dependency run in one internal request. For a route with guests or guards, the user is found by a
        request of its own before.
        """
        route = match.route
        if route.permission is not None:
            raise RouteError(f"{route.name}: permission= is Django's; here a dependency can ask for it")
        user: Any = None
        finds_user_first = route.guests or bool(route.guards)
        if finds_user_first:
            user = yield from self._guest_or_user(request, match)
        outcome = yield partial(self.dispatcher.ask_channel, request, ctx, match, user)
        if not decided(route.name, outcome.result):
            raise Denied(f"{route.name} returned {outcome.result!r}")
        return user if finds_user_first else outcome.user, outcome.result

    def decide_sign_in(self, request: AuthRequest) -> Steps[tuple[Any, Any]]:
        """Return the user who signs in, and the application's data about the user. Raises Denied."""
        outcome = yield partial(self.dispatcher.ask_sign_in, request)
        decided("channels.user", outcome.result)
        if outcome.result is not None and not outcome.result:
            raise Denied("the application says no")
        return outcome.user, outcome.result or {}

    def _guest_or_user(self, request: AuthRequest, match: RouteMatch) -> Steps[Any]:
        for guard in match.route.guards or (None,):
            try:
                outcome = yield partial(self.dispatcher.find_user, request, guard)
            except Denied:
                continue
            return outcome.user
        if not match.route.guests:
            raise Denied("nobody is logged in")
        return None

"""The auth endpoint, whose channel routes are asked as path operations."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest, Context, Denied
from soundpost.broadcasting.authorization.routes import Match
from soundpost.errors import RouteError
from soundpost.fastapi.dispatch import Dispatcher


@dataclass(slots=True)
class DependencyEndpoint(AuthEndpoint):
    """Answers auth requests by channel routes with dependencies."""

    dispatcher: Dispatcher = field(kw_only=True)

    def judge(self, request: AuthRequest, ctx: Context, match: Match) -> Generator[Any, Any, tuple[Any, Any]]:
        """The user and the route's answer, found in one go; only who may be a guest is looked for beforehand."""
        route = match.route
        if route.permission is not None:
            raise RouteError(f"{route.name}: permission= is Django's; here a dependency can ask for it")
        user: Any = None
        looks_first = route.guests or bool(route.guards)
        if looks_first:
            user = yield from self._guest_or_user(request, match)
        outcome = yield partial(self.dispatcher.ask_channel, request, ctx, match, user)
        if not outcome.result:
            raise Denied(f"{route.name} returned {outcome.result!r}")
        return user if looks_first else outcome.user, outcome.result

    def introduce(self, request: AuthRequest) -> Generator[Any, Any, tuple[Any, Any]]:
        """The user, and what the application says of them."""
        outcome = yield partial(self.dispatcher.ask_user, request)
        if outcome.result is not None and not outcome.result:
            raise Denied("the application says no")
        return outcome.user, outcome.result or {}

    def _guest_or_user(self, request: AuthRequest, match: Match) -> Generator[Any, Any, Any]:
        for guard in match.route.guards or (None,):
            try:
                outcome = yield partial(self.dispatcher.find_user, request, guard)
            except Denied:
                continue
            return outcome.user
        if not match.route.guests:
            raise Denied("nobody is logged in")
        return None

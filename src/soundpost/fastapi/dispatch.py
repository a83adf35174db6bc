"""Channel routes as real path operations of a private application, to which auth requests are sent a second time.

So dependencies, validation, threads for blocking functions, ``yield`` and ``dependency_overrides`` are FastAPI's own,
by its public interface alone: ``orders.{order_id:int}`` becomes the path ``/channels/0/{order_id}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote
from weakref import WeakKeyDictionary

from fastapi import FastAPI

from soundpost.broadcasting.authorization import AuthRequest, ChannelRoutes, Context, Denied
from soundpost.broadcasting.authorization.refusals import Mistake
from soundpost.broadcasting.authorization.routes import Match, name_of
from soundpost.errors import RouteError
from soundpost.fastapi.injection import check_declared
from soundpost.fastapi.operations import (
    OUTCOME,
    Operation,
    Outcome,
    channel_operation,
    found_before,
    sign_in_operation,
    someone,
    user_operation,
)
from soundpost.wire.json_text import read_object

_APPLICATION: Final = "soundpost.application"
"""Key in the scope: the application that was asked, which dependencies are to see."""
_ROUTING: Final = ("router", "route", "endpoint", "path_params", "app_root_path")
"""What the way to the auth route has left in the scope, beside what the frameworks keep there for themselves."""


class Dispatcher:
    """Sends auth requests to channel routes; ``user`` is the dependency that finds who asks."""

    def __init__(self, channels: ChannelRoutes, user: Operation) -> None:
        self._channels = channels
        self._user = user
        self._private: WeakKeyDictionary[FastAPI, tuple[FastAPI, object]] = WeakKeyDictionary()

    async def ask_channel(self, request: AuthRequest, ctx: Context, match: Match, user: Any) -> Outcome:
        """What a route says; ``user`` is for one that lets guests in or has guards. Raises Denied, and what it raises.

        ``result`` may be anything: whether it allows is for the caller to see.
        """
        number = list(self._channels).index(match.route)
        values = "".join(f"/{value}" for value in match.parameters.values())  # a channel's name has no slash
        return await self._ask(request, f"/channels/{number}{values}", Outcome(ctx, user))

    async def ask_user(self, request: AuthRequest) -> Outcome:
        """Who wants to sign in, and what the application says of them; None if it says nothing. Raises Denied."""
        return await self._ask(request, "/sign-in", Outcome())

    async def find_user(self, request: AuthRequest, guard: str | None) -> Outcome:
        """The user, by a guard or by the dependency. Raises Denied if there is none."""
        if guard is None:
            return await self._ask(request, "/user", Outcome())
        if guard not in self._channels.guards:
            raise RouteError(f"no guard is called {guard!r}: decorate one with channels.guard({guard!r})")
        return await self._ask(request, f"/guards/{list(self._channels.guards).index(guard)}", Outcome())

    def check(self, app: FastAPI) -> None:
        """Raises RouteError for a route that FastAPI cannot call."""
        self._application(app)

    async def _ask(self, request: AuthRequest, path: str, outcome: Outcome) -> Outcome:
        application = request.request.app
        private = self._application(application)
        private.dependency_overrides = application.dependency_overrides
        scope = {**_without_routing(request.request.scope), OUTCOME: outcome, _APPLICATION: application}
        scope["path"] = scope.get("root_path", "") + path
        scope["raw_path"] = quote(scope["path"]).encode()
        answer = _Answer(request.body)
        await private(scope, answer.receive, answer.send)
        if not outcome.is_done:
            raise answer.refusal()
        return outcome

    def _application(self, application: FastAPI) -> FastAPI:
        channels = self._channels
        state = (len(channels), len(channels.guards), channels.user_callback)
        found = self._private.get(application)
        if found is None or found[1] != state:
            found = self._private[application] = self._make(application), state
        return found[0]

    def _make(self, application: FastAPI) -> FastAPI:
        # With the handlers of the application, so that exceptions of its own that it answers deny, and are no failures.
        private = FastAPI(openapi_url=None, exception_handlers=dict(application.exception_handlers))
        private.add_middleware(_AsApplication)
        user = someone(self._user)
        for number, route in enumerate(self._channels):
            path = f"/channels/{number}" + "".join(f"/{{{name}}}" for name in route.pattern.parameters)
            who = found_before if route.guests or route.guards else user
            with told_of(f"channel route {route.pattern.text!r}", route.callback):
                _add(private, path, channel_operation(route, who))
        sign_in = self._channels.user_callback
        if sign_in is None:
            _add(private, "/sign-in", user_operation(user))
        else:
            with told_of("channels.user", sign_in):
                _add(private, "/sign-in", sign_in_operation(sign_in, user))
        _add(private, "/user", user_operation(user))
        for number, (name, guard) in enumerate(self._channels.guards.items()):
            with told_of(f"guard {name!r}", guard):
                check_declared(guard, ())
                _add(private, f"/guards/{number}", user_operation(someone(guard)))
        return private


@contextmanager
def told_of(what: str, callback: Operation) -> Iterator[None]:
    """Have what FastAPI and pydantic raise say which function is wrong. Raises RouteError."""
    try:
        yield
    except Exception as error:  # of their own classes, by what is wrong
        raise RouteError(f"{what}: FastAPI cannot call {name_of(callback)}: {error}") from error


def _add(private: FastAPI, path: str, operation: Operation) -> None:
    private.add_api_route(path, operation, methods=["GET", "POST"], response_model=None)


def _without_routing(scope: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in scope.items()
        if key not in _ROUTING and not key.startswith(("fastapi", "starlette."))
    }


class _AsApplication:
    """Middleware: ``request.app`` is the application that was asked."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if _APPLICATION in scope:
            scope["app"] = scope[_APPLICATION]
        await self._app(scope, receive, send)


class _Answer:
    """Gives the request's body once more, and takes what is answered."""

    def __init__(self, body: bytes) -> None:
        self._request_body = body
        self._status = 0
        self._body = b""

    async def receive(self) -> dict[str, Any]:
        """The whole body, then no more."""
        body, self._request_body = self._request_body, b""
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Mapping[str, Any]) -> None:
        """A part of the answer."""
        self._status = message.get("status", self._status)
        self._body += message.get("body", b"")

    def refusal(self) -> Denied:
        """Why it is not the answer of the route. 422 and 5xx, FastAPI's own, are no decision of the application."""
        try:
            detail = read_object(self._body)["detail"]
        except (ValueError, TypeError, LookupError):
            detail = self._body.decode(errors="replace")[:500]
        kind = Mistake if self._status == 422 or self._status >= 500 else Denied
        return kind(f"a dependency or the route answered {self._status}: {detail}")

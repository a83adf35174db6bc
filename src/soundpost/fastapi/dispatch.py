"""Channel routes as path operations of a private application, to which auth requests are sent a second time.

So FastAPI itself handles dependencies, validation, threads for blocking functions, ``yield`` and
``dependency_overrides``, by its public interface: ``orders.{order_id:int}`` becomes ``/channels/0/{order_id}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote
from weakref import WeakKeyDictionary

from fastapi import FastAPI, Request

from soundpost.broadcasting.authorization import AuthRequest, ChannelRoutes, Context, Denied
from soundpost.broadcasting.authorization.refusals import Misconfigured
from soundpost.broadcasting.authorization.routes import RouteMatch, callback_name
from soundpost.broadcasting.authorization.users import check_guard
from soundpost.errors import RouteError
from soundpost.fastapi.injection import check_declared
from soundpost.fastapi.operations import (
    OUTCOME,
    Operation,
    RequestOutcome,
    channel_operation,
    required_user,
    sign_in_operation,
    user_found_before,
    user_operation,
)
from soundpost.wire.json_text import read_object

_APPLICATION: Final = "soundpost.application"
"""Key in the scope for the application that got the request, which dependencies see as ``request.app``."""
_ROUTING: Final = ("router", "route", "endpoint", "path_params", "app_root_path")
"""Keys that routing to the auth route left in the scope, beside keys that the frameworks keep for themselves."""


class RouteDispatcher:
    """A sender of auth requests to channel routes; ``user`` is the dependency that returns the user."""

    def __init__(self, channels: ChannelRoutes, user: Operation) -> None:
        self._channels = channels
        self.user = user
        """The dependency that returns the user."""
        self._private_apps: WeakKeyDictionary[FastAPI, tuple[FastAPI, object]] = WeakKeyDictionary()

    async def ask_channel(self, request: AuthRequest, ctx: Context, match: RouteMatch, user: Any) -> RequestOutcome:
        """Call a route, and return the outcome: the route's result, which may be false, and the user.

        ``user`` is the user found before, for a route with guests or guards. Raises Denied, and the route's exceptions.
        """
        number = list(self._channels).index(match.route)
        values = "".join(f"/{value}" for value in match.parameters.values())  # a channel's name has no slash
        return await self._ask(request, f"/channels/{number}{values}", RequestOutcome(ctx, user))

    async def ask_sign_in(self, request: AuthRequest) -> RequestOutcome:
        """Return the outcome of a sign-in: the user, and the data of the sign-in callback, if any. Raises Denied."""
        return await self._ask(request, "/sign-in", RequestOutcome())

    async def find_user(self, request: AuthRequest, guard: str | None) -> RequestOutcome:
        """Return the outcome with the user, by a guard or by the dependency. Raises Denied if nobody is logged in."""
        if guard is None:
            return await self._ask(request, "/user", RequestOutcome())
        check_guard(guard, self._channels.guards)
        return await self._ask(request, f"/guards/{list(self._channels.guards).index(guard)}", RequestOutcome())

    @property
    def applications(self) -> Iterable[FastAPI]:
        """The applications whose channel routes were used or checked."""
        return self._private_apps.keys()

    def check(self, app: FastAPI) -> None:
        """Check that FastAPI can call all channel routes. Raises RouteError."""
        self._private_app(app)

    async def _ask(self, request: AuthRequest, path: str, outcome: RequestOutcome) -> RequestOutcome:
        await send_privately(self._private_app(request.request.app), request.request, path, outcome, request.body)
        return outcome

    def _private_app(self, application: FastAPI) -> FastAPI:
        channels = self._channels
        state = (len(channels), len(channels.guards), channels.user_callback)
        found = self._private_apps.get(application)
        if found is None or found[1] != state:
            found = self._private_apps[application] = self._new_private_app(application), state
        return found[0]

    def _new_private_app(self, application: FastAPI) -> FastAPI:
        private = private_application(application)
        user = required_user(self.user)
        for number, route in enumerate(self._channels):
            path = f"/channels/{number}" + "".join(f"/{{{name}}}" for name in route.pattern.parameters)
            find_user = user_found_before if route.guests or route.guards else user
            with route_errors(f"channel route {route.pattern.text!r}", route.callback):
                add_operation(private, path, channel_operation(route, find_user))
        sign_in = self._channels.user_callback
        if sign_in is None:
            add_operation(private, "/sign-in", user_operation(user))
        else:
            with route_errors("channels.user", sign_in):
                add_operation(private, "/sign-in", sign_in_operation(sign_in, user))
        add_operation(private, "/user", user_operation(user))
        for number, (name, guard) in enumerate(self._channels.guards.items()):
            with route_errors(f"guard {name!r}", guard):
                check_declared(guard, ())
                add_operation(private, f"/guards/{number}", user_operation(required_user(guard)))
        return private


@contextmanager
def route_errors(what: str, callback: Operation) -> Iterator[None]:
    """Turn errors of FastAPI and pydantic in the block into a RouteError that names the function."""
    try:
        yield
    except Exception as error:  # of any class, as the mistake has it
        raise RouteError(f"{what}: FastAPI cannot call {callback_name(callback)}: {error}") from error


def private_application(application: FastAPI) -> FastAPI:
    """Return an application for private requests, with the exception handlers of the application that got a request.

    Exceptions that those handlers answer deny, and are not failures.
    """
    private = FastAPI(openapi_url=None, exception_handlers=dict(application.exception_handlers))
    private.add_middleware(_OriginalApplication)
    return private


async def send_privately(
    private: FastAPI, request: Request, path: str, outcome: RequestOutcome, body: bytes = b""
) -> None:
    """Send a request a second time, to a path of a private application, whose operation fills in the outcome.

    Raises Denied if a dependency ends the request, and the exceptions of the operation.
    """
    application = request.app
    private.dependency_overrides = application.dependency_overrides
    scope = {**_without_routing(request.scope), OUTCOME: outcome, _APPLICATION: application}
    scope["path"] = scope.get("root_path", "") + path
    scope["raw_path"] = quote(scope["path"]).encode()
    captured = _CapturedResponse(body)
    await private(scope, captured.receive, captured.send)
    if not outcome.is_done:
        raise captured.refusal()


def add_operation(private: FastAPI, path: str, operation: Operation) -> None:
    """Add an operation to a private application."""
    private.add_api_route(path, operation, methods=["GET", "POST"], response_model=None)


def _without_routing(scope: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in scope.items()
        if key not in _ROUTING and not key.startswith(("fastapi", "starlette."))
    }


class _OriginalApplication:
    """Middleware by which ``request.app`` is the application that got the request."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if _APPLICATION in scope:
            scope["app"] = scope[_APPLICATION]
        await self._app(scope, receive, send)


class _CapturedResponse:
    """The response to a private request, for which the body is given once more."""

    def __init__(self, body: bytes) -> None:
        self._request_body = body
        self._status = 0
        self._body = b""

    async def receive(self) -> dict[str, Any]:
        """Return the whole body, and then an empty one."""
        body, self._request_body = self._request_body, b""
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Add a part of the response."""
        self._status = message.get("status", self._status)
        self._body += message.get("body", b"")

    def refusal(self) -> Denied:
        """Return the response as an exception. 422 and 5xx, FastAPI's own, are not a decision of the application."""
        try:
            detail = read_object(self._body)["detail"]
        except (ValueError, TypeError, LookupError):
            detail = self._body.decode(errors="replace")[:500]
        reason = f"a dependency or the route answered {self._status}: {detail}"
        if self._status >= 500:
            return Misconfigured(reason, 500)
        return Misconfigured(reason) if self._status == 422 else Denied(reason)

"""``/broadcasting/auth`` and ``/broadcasting/user-auth`` for any framework: from a request's parts to a response.

A denied channel is 403. A mistake or a failure of the application itself is 500: a wrong setting, a channel route that
raises. The reason goes to the log ``soundpost.auth``, and to the browser in debug mode only.
Source: https://pusher.com/docs/channels/library_auth_reference/auth-signatures/
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from soundpost.broadcasting.authorization.refusals import Misconfigured, RequestDenied, log_refusal, refusal_status
from soundpost.broadcasting.authorization.requests import AuthQuestion, AuthRequest, read_question
from soundpost.broadcasting.authorization.responses import (
    AuthResponse,
    refusal_response,
    sign_in_response,
    subscription_response,
)
from soundpost.broadcasting.authorization.routes import ChannelRoutes, Context, RouteMatch
from soundpost.broadcasting.authorization.steps import Call, Steps, arun_steps, refuse_generator, run_steps
from soundpost.broadcasting.authorization.users import authenticated_user, id_of, member_id, member_of
from soundpost.broadcasting.serialization import plain
from soundpost.broadcasting.settings import BroadcastSettings, ConnectionSettings
from soundpost.errors import ConfigurationError, RouteError, SoundpostError
from soundpost.wire.channel_names import Kind, kind_of

_SHORT_REFUSALS: Final = frozenset((401, 403, 404))


@dataclass(slots=True, eq=False, weakref_slot=True)
class AuthEndpoint:
    """An endpoint that answers auth requests by channel routes, with settings for the framework it belongs to."""

    routes: ChannelRoutes
    """The channel routes that decide."""
    settings: Callable[[], BroadcastSettings]
    """Returns the application's settings; may raise ConfigurationError."""
    denials: tuple[type[BaseException], ...] = ()
    """The framework's exceptions that deny a channel, beside ``Denied``."""
    run_async: Callable[[Awaitable[Any]], Any] | None = None
    """Runs a coroutine in synchronous code; None: ``asyncio.run``."""
    run_sync: Callable[..., Awaitable[Any]] = asyncio.to_thread
    """Runs a blocking function in asynchronous code."""
    converters: list[Callable[[Any, Any], Any]] = field(default_factory=list)
    """Functions ``(annotation, value)`` that convert a parameter's value into the annotated type, such as a model.

    A converter returns NotImplemented for types that it does not know. An exception of ``denials`` denies.
    """
    check_permission: Callable[[Any, str], Any] | None = None
    """Tells whether a user has the permission that a route asks for; None: routes cannot ask."""
    has_short_responses: bool = False
    """Tells whether views of the framework may return ``"no", 403`` in place of a response, as Flask's may."""

    def channel(self, request: AuthRequest) -> AuthResponse:
        """Return the response to a subscription: 200 with a signature, 403, 413, 422 or 500. Never raises."""
        return self._run(self._channel(request), request)

    async def achannel(self, request: AuthRequest) -> AuthResponse:
        """Return the response to a subscription without blocking the event loop."""
        return await self._arun(self._channel(request), request)

    def user(self, request: AuthRequest) -> AuthResponse:
        """Return the response to a sign-in: 200 with a signature, 403, 413, 422 or 500. Never raises."""
        return self._run(self._user(request), request)

    async def auser(self, request: AuthRequest) -> AuthResponse:
        """Return the response to a sign-in without blocking the event loop."""
        return await self._arun(self._user(request), request)

    def _run(self, steps: Steps[AuthResponse], request: AuthRequest) -> AuthResponse:
        try:
            return run_steps(steps, self.run_async)
        except Exception as error:
            return self._refusal(error, request)

    async def _arun(self, steps: Steps[AuthResponse], request: AuthRequest) -> AuthResponse:
        try:
            return await arun_steps(steps, self.run_sync)
        except Exception as error:
            return self._refusal(error, request)

    def _channel(self, request: AuthRequest) -> Steps[AuthResponse]:
        question = self._question(request, needs_channel=True)
        kind = kind_of(question.channel)
        if not kind.needs_auth or kind is Kind.USER:
            raise Misconfigured(f"{question.channel!r} is not a private or presence channel: it needs no authorization")
        match = self.routes.find(question.channel)
        if match is None:
            raise Misconfigured(self.routes.explain_no_match(question.channel))
        ctx = Context(question.socket_id, question.channel, request.request)
        user, result = yield from self.decide_channel(request, ctx, match)
        connection = self._connection()
        member = member_of(match.route, user, result) if kind.is_presence else None
        return subscription_response(connection, question, member, match.route.name)

    def _user(self, request: AuthRequest) -> Steps[AuthResponse]:
        question = self._question(request, needs_channel=False)
        user, data = yield from self.decide_sign_in(request)
        described = {} if data is True else plain(data, "sign-in")
        if not isinstance(described, dict):
            raise RouteError(f"sign-in: a dict is expected of channels.user, it returned {type(data).__name__}")
        user_id = member_id(described["id"], "sign-in: 'id'") if "id" in described else id_of(user)
        more = {name: value for name, value in described.items() if name != "id"}
        return sign_in_response(self._connection(), question.socket_id, user_id, more)

    # Frameworks may decide in a way of their own: the two methods below are steps, too.

    def decide_channel(self, request: AuthRequest, ctx: Context, match: RouteMatch) -> Steps[tuple[Any, Any]]:
        """Return the user, and the true result of the route's callback. Raises Denied, and whatever denies."""
        user = yield from self._find_user(request, match)
        result = yield from self._call_route(ctx, match, user)
        return user, result

    def decide_sign_in(self, request: AuthRequest) -> Steps[tuple[Any, Any]]:
        """Return the user who signs in, and the application's data about the user. Raises Denied."""
        user = yield Call(authenticated_user, (yield Call(request.user, None)))
        if user is None:
            raise RequestDenied("nobody is logged in")
        callback = self.routes.user_callback
        data: Any = {}
        if callback is not None:
            data = decided("channels.user", (yield Call(callback, user)))
            if not data:
                raise RequestDenied("the application says no")
        return user, data

    def _question(self, request: AuthRequest, *, needs_channel: bool) -> AuthQuestion:
        return read_question(request, self.settings().trusted_origins, needs_channel=needs_channel)

    def _find_user(self, request: AuthRequest, match: RouteMatch) -> Steps[Any]:
        user = None
        for guard in match.route.guards or (None,):
            find = self.routes.guards.get(guard) if guard is not None else None
            found = yield (Call(request.user, guard) if find is None else Call(find, request.request))
            if find is not None:
                decided(f"guard {guard!r}", found)
            user = yield Call(authenticated_user, found)
            if user is not None:
                break
        if user is None and not match.route.guests:
            raise RequestDenied("nobody is logged in")
        permission = match.route.permission
        if permission is not None:
            if self.check_permission is None:
                raise RouteError(f"the route asks for the permission {permission!r}, which nothing here can check")
            if user is None or not (yield Call(self.check_permission, user, permission)):
                raise RequestDenied(f"the user has no permission {permission!r}")
        return user

    def _call_route(self, ctx: Context, match: RouteMatch, user: Any) -> Steps[Any]:
        route = match.route
        parameters: dict[str, Any] = {}
        for name, value in match.parameters.items():
            parameters[name] = yield Call(self._converted, route.annotations.get(name), value)
        arguments = dict(parameters)
        if route.takes_ctx:
            arguments["ctx"] = ctx
        if route.takes_user is not None:
            arguments[route.takes_user] = user
        result = decided(route.name, (yield Call(route.callback, **arguments)))
        if self.has_short_responses and _is_short_refusal(result):
            raise RouteError(f"{route.name} returned {result!r:.200}: raise Denied to deny, or return False")
        if not result:
            # The values show a comparison of different types, such as of a text with the number of a primary key.
            values = ", ".join(f"{name}={value!r:.100}" for name, value in parameters.items())
            raise RequestDenied(f"{route.name} returned {result!r}" + (f" for {values}" if values else ""))
        return result

    def _converted(self, annotation: Any, value: Any) -> Any:
        if annotation is None:
            return value
        for convert in self.converters:
            made = convert(annotation, value)
            if made is not NotImplemented:
                return made
        return value

    def _refusal(self, error: Exception, request: AuthRequest) -> AuthResponse:
        reason = log_refusal(error, self.denials)
        status = refusal_status(error, self.denials)
        return refusal_response(status, reason if self._debug(request) else "")

    def _connection(self) -> ConnectionSettings:
        """Return the connection whose app signs. Raises ConfigurationError if its credentials are incomplete."""
        settings = self.settings()
        connection = settings.connection()
        missing = connection.missing_in_words(settings.default)
        if missing is not None:
            raise ConfigurationError(f"channels cannot be authorized: {missing}")
        return connection

    def _debug(self, request: AuthRequest) -> bool:
        try:
            return self.settings().debug
        except SoundpostError:  # the fault is in the settings
            return request.debug


def decided(name: str, result: Any) -> Any:
    """Return the result of a function of the application.

    Raises RouteError for a generator, a function, a class, an exception, and a framework's HTTP response: they are
    true, whatever the application meant to say.
    """
    refuse_generator(name, result)
    if isinstance(result, type | BaseException) or result is NotImplemented:
        raise RouteError(f"{name} returned {result!r:.200}: raise an exception to deny, or return False")
    if _is_http_response(result):
        raise RouteError(f"{name} returned an HTTP response: raise Denied to deny, or return False")
    if inspect.isroutine(result):
        raise RouteError(f"{name} returned a function, {result.__name__}: call it, as {result.__name__}()")
    return result


def _is_http_response(result: Any) -> bool:
    """Return whether a result is an HTTP response that is always true; those of ``requests`` are true if fine."""
    is_response = isinstance(getattr(result, "status_code", None), int) and hasattr(result, "headers")
    return is_response and not hasattr(type(result), "__bool__")


def _is_short_refusal(result: Any) -> bool:
    """Return whether a result is a text with a status that refuses; other tuples may be rows of a database."""
    if type(result) is not tuple or len(result) != 2:
        return False
    text, status = result
    return isinstance(text, str) and isinstance(status, int) and status in _SHORT_REFUSALS

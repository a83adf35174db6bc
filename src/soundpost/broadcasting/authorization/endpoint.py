"""``/broadcasting/auth`` and ``/broadcasting/user-auth``, for any framework: from a request's parts to an answer.

Answers are what laravel-echo and pusher-js expect; a denied channel is 403. The reason goes to the log: a plain no as
INFO, a mistake in how things are set up as WARNING, a failure as ERROR; and to the browser in debug mode only.
Source: https://pusher.com/docs/channels/library_auth_reference/auth-signatures/
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from soundpost.broadcasting.authorization.body import hint, values_of
from soundpost.broadcasting.authorization.limits import as_json, check_member, check_message
from soundpost.broadcasting.authorization.origin import cross_site_fault
from soundpost.broadcasting.authorization.refusals import Denied, Mistake, Refused
from soundpost.broadcasting.authorization.routes import ChannelRoutes, Context, Match
from soundpost.broadcasting.authorization.users import id_of, known_user, member_id
from soundpost.broadcasting.proxies import unproxied
from soundpost.broadcasting.serialization import plain
from soundpost.broadcasting.settings import BroadcastSettings, ConnectionSettings
from soundpost.errors import ConfigurationError, RouteError, SoundpostError
from soundpost.wire.channel_names import Kind, fault, kind_of
from soundpost.wire.encryption import shared_secret
from soundpost.wire.signatures import channel_text, sign, user_text
from soundpost.wire.socket_id import fault as socket_id_fault

log = logging.getLogger("soundpost.auth")

HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}
"""Of every answer."""
_LONGEST_REASON: Final = 1_000
"""Characters of it in the log."""


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """A request's parts. ``headers`` by lower-case name; ``user`` finds who asks, by name of a guard or None."""

    headers: Mapping[str, str]
    query: str
    body: bytes
    host: str
    user: Callable[[str | None], Any]
    request: Any = None
    """The framework's own request, which callbacks get in ``ctx``."""


class Answer(NamedTuple):
    """An HTTP answer: always JSON."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks for, checked."""

    socket_id: str
    channel: str


@dataclass(slots=True)
class AuthEndpoint:
    """Answers auth requests by channel routes. Frameworks replace how callbacks are called, and what denies."""

    routes: ChannelRoutes
    settings: Callable[[], BroadcastSettings]
    denials: tuple[type[BaseException], ...] = ()
    """Exceptions that mean: denied."""
    run_async: Callable[[Awaitable[Any]], Any] | None = None
    """Runs a coroutine in synchronous code; ``asyncio.run`` if nothing else is said."""
    run_sync: Callable[..., Awaitable[Any]] = asyncio.to_thread
    """Runs a blocking function in asynchronous code."""
    converters: list[Callable[[Any, Any], Any]] = field(default_factory=list)
    """Each may make a parameter's value into what its annotation asks for, a model say: ``(annotation, value)``;
    NotImplemented: not its affair. An exception of ``denials`` denies."""
    check_permission: Callable[[Any, str], Any] | None = None
    """Whether a user has the permission that a route asks for."""

    def channel(self, request: AuthRequest) -> Answer:
        """Authorize a subscription."""
        return self._answer(request, self._channel)

    async def achannel(self, request: AuthRequest) -> Answer:
        """The same, without blocking the event loop."""
        return await self._aanswer(request, self._channel)

    def user(self, request: AuthRequest) -> Answer:
        """Authorize a sign-in."""
        return self._answer(request, self._user)

    async def auser(self, request: AuthRequest) -> Answer:
        """The same, without blocking the event loop."""
        return await self._aanswer(request, self._user)

    # The steps are generators: they yield each callable of the application, and are sent what it returned. So one text
    # serves synchronous and asynchronous code.

    def _answer(self, request: AuthRequest, steps: Any) -> Answer:
        try:
            generator = steps(request)
            call = next(generator)
            while True:
                try:
                    result = call()
                    if inspect.isawaitable(result):
                        result = (self.run_async or _run)(result)
                except Exception as error:
                    call = generator.throw(error)
                else:
                    call = generator.send(result)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer
        except Exception as error:
            return self._refusal(request, error)

    async def _aanswer(self, request: AuthRequest, steps: Any) -> Answer:
        try:
            generator = steps(request)
            call = next(generator)
            while True:
                try:
                    result = await self._acall(call)
                except Exception as error:
                    call = generator.throw(error)
                else:
                    call = generator.send(result)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer
        except Exception as error:
            return self._refusal(request, error)

    async def _acall(self, call: Any) -> Any:
        if inspect.iscoroutinefunction(getattr(call, "func", call)):
            return await call()
        result = await self.run_sync(call)
        return await result if inspect.isawaitable(result) else result

    def _channel(self, request: AuthRequest) -> Any:
        asked = self._asked(request, needs_channel=True)
        kind = kind_of(asked.channel)
        if not kind.needs_auth or kind is Kind.USER:
            raise Mistake(f"{asked.channel!r} is no private or presence channel: it needs no authorization")
        match = self.routes.find(asked.channel)
        if match is None:
            raise Mistake(self.routes.why_not(asked.channel))
        user, result = yield from self.judge(request, Context(asked.socket_id, asked.channel, request.request), match)
        connection = self._connection()
        if not kind.is_presence:
            return _signed(connection, asked, None, match.route.name)
        member = self._member(match, user, result)
        check_member(connection, match.route.name, member["user_id"], member.get("user_info"))
        return _signed(connection, asked, member, match.route.name)

    def _user(self, request: AuthRequest) -> Any:
        asked = self._asked(request, needs_channel=False)
        user, data = yield from self.introduce(request)
        said = {} if data is True else plain(data, "sign-in")
        if not isinstance(said, dict):
            raise RouteError(f"sign-in: a dict is expected of channels.user, it returned {type(data).__name__}")
        user_id = member_id(said["id"], "sign-in: 'id'") if "id" in said else id_of(user)
        connection = self._connection()
        check_member(connection, "sign-in", user_id, said.get("user_info"))
        text = as_json({"id": user_id, **{name: value for name, value in said.items() if name != "id"}})
        auth = f"{connection.key}:{sign(connection.secret, user_text(asked.socket_id, text))}"
        answer = {"auth": auth, "user_data": text}
        check_message(connection, "sign-in", "pusher:signin", answer)
        return Answer(200, as_json(answer))

    # What a framework may do in its own way: two more generators

    def judge(self, request: AuthRequest, ctx: Context, match: Match) -> Generator[Any, Any, tuple[Any, Any]]:
        """The user, and what the route's callback says, which is not false. Raises Denied, and whatever denies."""
        user = yield from self._find_user(request, match)
        result = yield from self._decide(ctx, match, user)
        return user, result

    def introduce(self, request: AuthRequest) -> Generator[Any, Any, tuple[Any, Any]]:
        """The user who wants to sign in, and what the application says of them. Raises Denied."""
        user = yield _Call(known_user, (yield _Call(request.user, None)))
        if user is None:
            raise Refused("nobody is logged in")
        callback = self.routes.user_callback
        data: Any = {}
        if callback is not None:
            data = yield _Call(callback, user)
            if not data:
                raise Refused("the application says no")
        return user, data

    def _asked(self, request: AuthRequest, *, needs_channel: bool) -> _Asked:
        headers = request.headers
        wrong = cross_site_fault(
            origin=headers.get("origin"),
            fetch_site=headers.get("sec-fetch-site"),
            host=request.host,
            authorization=headers.get("authorization"),
            trusted=self.settings().trusted_origins,
        )
        if wrong is not None:
            raise Mistake(wrong)
        values = values_of(headers, request.query, request.body)
        unread = hint(headers, request.body)
        socket_id = values.get("socket_id", "")
        wrong = socket_id_fault(socket_id)
        if wrong is not None:
            raise Mistake(f"socket_id: {wrong}{unread}", 422)
        channel = values.get("channel_name", "")
        wrong = fault(channel, 200) if needs_channel else None
        if wrong is not None:
            raise Mistake(f"channel_name: {wrong}{unread}", 422 if channel else 403)
        return _Asked(socket_id, channel)

    def _find_user(self, request: AuthRequest, match: Match) -> Any:
        user = None
        for guard in match.route.guards or (None,):
            find = self.routes.guards.get(guard) if guard is not None else None
            found = yield (_Call(request.user, guard) if find is None else _Call(find, request.request))
            user = yield _Call(known_user, found)
            if user is not None:
                break
        if user is None and not match.route.guests:
            raise Refused("nobody is logged in")
        permission = match.route.permission
        if permission is not None:
            if self.check_permission is None:
                raise Mistake(f"the route asks for the permission {permission!r}, which nothing here can check")
            if user is None or not (yield _Call(self.check_permission, user, permission)):
                raise Refused(f"the user has no permission {permission!r}")
        return user

    def _decide(self, ctx: Context, match: Match, user: Any) -> Any:
        route = match.route
        arguments: dict[str, Any] = {}
        for name, value in match.parameters.items():
            arguments[name] = yield _Call(self._converted, route.annotations.get(name), value)
        if route.takes_ctx:
            arguments["ctx"] = ctx
        if route.takes_user is not None:
            arguments[route.takes_user] = user
        result = yield _Call(route.callback, **arguments)
        if not result:
            raise Refused(f"{route.name} returned {result!r}")
        return result

    def _converted(self, annotation: Any, value: Any) -> Any:
        if annotation is None:
            return value
        for convert in self.converters:
            made = convert(annotation, value)
            if made is not NotImplemented:
                return made
        return value

    @staticmethod
    def _member(match: Match, user: Any, result: Any) -> dict[str, Any]:
        route = match.route
        info = None if result is True else plain(result, f"member of {route.pattern.text}")
        if route.user_id is not None:
            user_id = route.user_id(user)
        elif user is not None:
            user_id = id_of(user)
        else:
            user_id = info.get("id") if isinstance(info, dict) else None
        if user_id is None or user_id == "":
            raise RouteError(f"{route.name}: a member needs an id: return one as 'id', or give the route user_id=")
        member = {"user_id": member_id(user_id, f"{route.name}: the member's id")}
        return member if info is None else {**member, "user_info": info}

    def _refusal(self, request: AuthRequest, error: Exception) -> Answer:
        status = error.status if isinstance(error, Refused) else 403
        reason = str(error)
        if isinstance(error, (Denied, *self.denials)):
            reason = reason or type(error).__name__
            log.log(logging.WARNING if isinstance(error, Mistake) else logging.INFO, "denied: %s", _one_line(reason))
        elif isinstance(error, SoundpostError):
            log.error("denied: %s", _one_line(reason))
        else:
            log.error("denied, because a channel route failed", exc_info=error)
            reason = f"the channel route failed: {type(error).__name__}: {error}"
        return Answer(status, as_json({"message": reason if self._debug() else ""}))

    def _connection(self) -> ConnectionSettings:
        """Whose signatures the server takes. Raises ConfigurationError if they cannot be made."""
        connection = self.settings().connection()
        missing = connection.missing()
        if missing:
            raise ConfigurationError(f"channels cannot be authorized: the app's {', '.join(missing)} is not configured")
        return connection

    def _debug(self) -> bool:
        try:
            return self.settings().debug
        except SoundpostError:
            return False


class _Call:
    """A callable with its arguments, to be called by who drives the steps."""

    __slots__ = ("_args", "_kwargs", "func")

    def __init__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.func = func
        self._args = args
        self._kwargs = kwargs

    def __call__(self) -> Any:
        try:
            return unproxied(self.func(*self._args, **self._kwargs))
        except StopIteration as error:  # a future cannot carry it: what awaits would wait for ever
            raise RuntimeError("StopIteration") from error


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _run(awaitable: Awaitable[Any]) -> Any:
    return asyncio.run(_awaited(awaitable))


def _signed(connection: ConnectionSettings, asked: _Asked, member: dict[str, Any] | None, route: str) -> Answer:
    data = None if member is None else as_json(member)
    text = channel_text(asked.socket_id, asked.channel, data)
    answer = {"auth": f"{connection.key}:{sign(connection.secret, text)}"}
    if data is not None:
        answer["channel_data"] = data
        check_message(connection, route, "pusher:subscribe", {**answer, "channel": asked.channel})
    if kind_of(asked.channel).is_encrypted:
        secret = shared_secret(asked.channel, connection.master_key(asked.channel))
        answer["shared_secret"] = base64.b64encode(secret).decode()
    return Answer(200, as_json(answer))


def _one_line(reason: str) -> str:
    """A reason for the log: what browsers send is in it, which is to be no line and no escape sequence of its own."""
    text = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
    return text if text.isprintable() else ascii(text)[1:-1]

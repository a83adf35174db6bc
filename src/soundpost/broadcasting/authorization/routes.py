"""Channel routes: functions that decide who may subscribe to a channel.

@channels.private("orders.{order_id:int}")
def order(user, order_id: int) -> bool: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn, TypeVar, get_args, get_type_hints

from soundpost.annotations import signature_of
from soundpost.broadcasting.authorization.patterns import Pattern
from soundpost.errors import RouteError
from soundpost.suggestions import did_you_mean
from soundpost.wire.channel_names import Kind, kind_of

Callback = TypeVar("Callback", bound=Callable[..., Any])
RouteKind = Literal["private", "presence"]
"""The kinds of channels that need authorization."""


@dataclass(frozen=True, slots=True)
class Context:
    """The auth request as a channel route sees it, in a parameter called ``ctx``."""

    socket_id: str
    """Id of the browser's connection: ``1234.5678``."""
    channel: str
    """Full name of the channel, with its prefix."""
    request: Any = None
    """The framework's own request."""


@dataclass(frozen=True, slots=True)
class ChannelRoute:
    """A pattern of channel names, and the function that decides about them."""

    kind: RouteKind
    pattern: Pattern
    callback: Callable[..., Any]
    guests: bool = False
    guards: tuple[str, ...] = ()
    user_id: Callable[[Any], Any] | None = None
    permission: str | None = None
    name: str = ""
    takes_user: str | None = field(default="user")
    """Name of the callback's parameter for the user; None: the callback takes no user."""
    takes_ctx: bool = False
    """True if the callback has a parameter ``ctx``."""
    annotations: Mapping[str, Any] = field(default_factory=dict)
    """Annotations of the callback's parameters, by name."""


class RouteMatch(NamedTuple):
    """The route that decides about a channel, with the converted parameters in the channel's name."""

    route: ChannelRoute
    parameters: dict[str, Any]


class ChannelPolicy:
    """A channel route as a class: ``pattern``, ``kind``, and a method ``authorize(self, user, **parameters)``.

    ``guests``, ``guards`` and ``permission`` are those of :meth:`ChannelRoutes.private`. A subclass with a ``pattern``
    is added to :data:`soundpost.channels`, or to ``routes``, a keyword of the class or of its base class.
    Raises RouteError for a class without ``authorize``, or with a wrong pattern.
    """

    pattern: ClassVar[str]
    """Pattern of channel names without prefixes: ``orders.{order_id:int}``."""
    kind: ClassVar[RouteKind] = "private"
    """Kind of the channels: ``private`` or ``presence``."""
    guests: ClassVar[bool] = False
    """True if ``authorize`` is also called without a user."""
    guards: ClassVar[str | Iterable[str]] = ()
    """Names of guards that are asked for the user in turn."""
    permission: ClassVar[str | None] = None
    """A permission that the user must have (Django)."""
    _routes: ClassVar[ChannelRoutes | None] = None

    def __init_subclass__(cls, *, routes: ChannelRoutes | None = None, **more: Any) -> None:
        super().__init_subclass__(**more)
        if routes is not None:
            cls._routes = routes
        if "pattern" not in cls.__dict__:
            return
        if cls.authorize is ChannelPolicy.authorize or not callable(cls.authorize):
            raise RouteError(f"{cls.__name__}: a channel policy needs a method authorize(self, user, …)")
        (channels if cls._routes is None else cls._routes).add(
            cls.kind,
            cls.pattern,
            cls().authorize,
            guests=cls.guests,
            guards=cls.guards,
            permission=cls.permission,
            name=f"{cls.__module__}.{cls.__qualname__}",
        )

    def authorize(self, *args: Any, **kwargs: Any) -> Any:
        """Return whether the user may subscribe; for a presence channel the member's data, or True."""
        raise NotImplementedError


class ChannelRoutes:
    """The channel routes of an application, with its guards and its sign-in callback."""

    def __init__(self) -> None:
        self._routes: list[ChannelRoute] = []
        self.guards: dict[str, Callable[[Any], Any]] = {}
        """Functions that return a request's user, or None, by name of the guard."""
        self.user_callback: Callable[..., Any] | None = None
        """The function that describes a user at sign-in; see :meth:`user`."""

    def __iter__(self) -> Any:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    def private(
        self,
        pattern: str,
        *,
        guests: bool = False,
        guards: str | Iterable[str] = (),
        permission: str | None = None,
    ) -> Callable[[Callback], Callback]:
        """Decorate a function that decides about private channels, among them encrypted and cache channels.

        The function gets the user, the parameters of the pattern, and a :class:`Context` if it has a parameter ``ctx``.
        The function returns True if the user may subscribe, and may be a coroutine function.

        - ``guests``: call the function also without a user.
        - ``guards``: names of guards that are asked for the user, one after the other.
        - ``permission``: a permission that the user must have (Django).

        Raises RouteError for a wrong pattern or function, and for overlapping routes.
        """
        return self._decorator("private", pattern, guests=guests, guards=guards, permission=permission)

    def presence(
        self,
        pattern: str,
        *,
        guests: bool = False,
        guards: str | Iterable[str] = (),
        permission: str | None = None,
        user_id: Callable[[Any], Any] | None = None,
    ) -> Callable[[Callback], Callback]:
        """Decorate a function that decides about presence channels, with the arguments of :meth:`private`.

        The function returns a dict that the other members see, or True if they see only the id. ``user_id`` is a
        function from the user to the member's id. Without ``user_id``, the id is the user's own (``pk``, ``id``); a
        guest's id is the ``id`` in the returned dict.
        """
        return self._decorator(
            "presence", pattern, guests=guests, guards=guards, permission=permission, user_id=user_id
        )

    def guard(self, name: str) -> Callable[[Callback], Callback]:
        """Decorate a function that returns a request's user, or None, for routes with ``guards=name``.

        Raises RouteError for a name that is not a text.
        """
        if callable(name):
            _refuse_without_parentheses("guard", name, "guard('staff')")
        if not isinstance(name, str):
            raise RouteError(f"guard {name!r:.100}: its name is a text, as in @channels.guard('staff')")

        def decorate(function: Callback) -> Callback:
            if not callable(function):
                raise RouteError(f"guard {name!r}: {function!r:.100} is not a function")
            self.guards[name] = function
            return function

        return decorate

    def user(self, function: Callback) -> Callback:
        """Decorate a function that describes a user at sign-in, by a dict with ``id``, ``user_info`` or ``watchlist``.

        True stands for the user's id alone, as if there were no such function. A false result denies.
        Raises RouteError for what is not a function.
        Source: https://pusher.com/docs/channels/server_api/authenticating-users/
        """
        if not callable(function):
            raise RouteError(f"sign-in: {function!r:.100} is not a function")
        self.user_callback = function
        return function

    def add(self, kind: RouteKind, pattern: str, callback: Callable[..., Any], **options: Any) -> ChannelRoute:
        """Add a route, and return it. Raises RouteError for a wrong route, and for one that overlaps with another.

        A route with the pattern and the function's name of an earlier one replaces it: its module was reloaded.
        """
        if kind not in get_args(RouteKind):
            raise RouteError(f"channel route {pattern!r}: its kind is {kind!r}: 'private' or 'presence' is expected")
        if not callable(callback):
            raise RouteError(f"{kind} channel route {pattern!r}: {callback!r:.100} is not a function")
        made = Pattern(pattern)
        name = options.get("name") or callback_name(callback)
        before = next((each for each in self._routes if (each.kind, each.pattern.text) == (kind, pattern)), None)
        if before is not None and before.name == name:
            self._routes[self._routes.index(before)] = route = _route(kind, made, callback, options)
            return route
        for other in self._routes:
            if other.kind != kind:
                continue
            common = other.pattern.overlaps(made)
            if common is not None:
                raise RouteError(
                    f"the {kind} channel routes {other.pattern.text!r} ({other.name}) and {pattern!r} "
                    f"({name}) both match {common!r}: which is to decide? "
                    "Make one of them narrower, with {…:int} say"
                )
        route = _route(kind, made, callback, options)
        self._routes.append(route)
        return route

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Remove the routes that were added in the block if the block fails."""
        before = list(self._routes)
        try:
            yield
        except BaseException:
            self._routes[:] = before
            raise

    def clear(self) -> None:
        """Remove all routes, guards, and the sign-in callback."""
        self._routes.clear()
        self.guards.clear()
        self.user_callback = None

    def find(self, channel: str) -> RouteMatch | None:
        """Return the route that decides about a channel, given by its full name; None if no route matches."""
        bare, kind = bare_name(channel)
        for route in self._routes:
            if route.kind == kind:
                parameters = route.pattern.match(bare)
                if parameters is not None:
                    return RouteMatch(route, parameters)
        return None

    def explain_no_match(self, channel: str) -> str:
        """Return the reason why no route matches a channel, for developers."""
        bare, kind = bare_name(channel)
        others = [route for route in self._routes if route.kind != kind and route.pattern.match(bare) is not None]
        if others:
            return f"{others[0].pattern.text!r} is a {others[0].kind} route, and {channel!r} is a {kind} channel"
        again, kind_again = bare_name(bare)
        if again != bare and self.find(bare) is not None:
            method = "join" if kind_again == "presence" else "private"
            return f"{channel!r} has two prefixes: laravel-echo adds the prefix itself, so write {method}({again!r})"
        hint = did_you_mean(bare, [route.pattern.text for route in self._routes if route.kind == kind], cutoff=0.4)
        if not self._routes:
            hint = "; there are no routes at all: is the module with them imported?"
        return f"no {kind} channel route matches {bare!r}{hint}"

    def _decorator(self, kind: RouteKind, pattern: str, **options: Any) -> Callable[[Callback], Callback]:
        if callable(pattern):
            _refuse_without_parentheses(f"{kind} channel route", pattern, f"{kind}('orders.{{order_id:int}}')")

        def decorate(callback: Callback) -> Callback:
            self.add(kind, pattern, callback, **options)
            return callback

        return decorate


channels = ChannelRoutes()
"""The channel routes of the process, :data:`soundpost.channels`. FastAPI's extension has routes of its own."""


def _refuse_without_parentheses(what: str, function: Callable[..., Any], example: str) -> NoReturn:
    raise RouteError(f"{what} {callback_name(function)}: the decorator has an argument, as in @channels.{example}")


def bare_name(channel: str) -> tuple[str, RouteKind]:
    """Return a channel's name without its prefixes, and the kind of its routes."""
    kind = kind_of(channel)
    if kind is Kind.USER or not kind.needs_auth:
        return channel, "private"
    return channel[len(kind.value) :], "presence" if kind.is_presence else "private"


def _route(kind: RouteKind, pattern: Pattern, callback: Callable[..., Any], options: dict[str, Any]) -> ChannelRoute:
    name = options.pop("name", "") or callback_name(callback)
    guards = options.pop("guards", ())
    signature = signature_of(callback)
    parameters = signature.parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    injects = options.pop("injects", False)
    for each in parameters.values():
        if each.kind is each.POSITIONAL_ONLY and not injects:
            raise RouteError(
                f"channel route {pattern.text!r}: {name} takes {each.name!r} by position only, but arguments are given "
                "by name: leave the '/' out"
            )
    for wanted in pattern.parameters:
        if wanted not in parameters and not takes_any and not injects:
            raise RouteError(f"channel route {pattern.text!r}: {name} has no parameter {wanted!r}")
    rest = [
        each
        for each in parameters.values()
        if each.name not in pattern.parameters and each.name != "ctx" and each.kind is not each.VAR_KEYWORD
    ]
    user, more = (rest[0].name, rest[1:]) if rest else (None, [])
    extra = [each.name for each in more if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    if extra and not injects:
        raise RouteError(
            f"channel route {pattern.text!r}: {name} wants {', '.join(extra)}, which the pattern does not have: "
            "it gets the user, the pattern's parameters, and ctx"
        )
    return ChannelRoute(
        kind,
        pattern,
        callback,
        guards=(guards,) if isinstance(guards, str) else tuple(guards),
        name=name,
        takes_user=user,
        takes_ctx="ctx" in parameters,
        annotations=_annotations(callback),
        **options,
    )


def _annotations(callback: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(callback)
    except Exception:
        return {}


def callback_name(callback: Any) -> str:
    """Return module and name of a function, for error messages."""
    return f"{callback.__module__}.{getattr(callback, '__qualname__', type(callback).__name__)}"

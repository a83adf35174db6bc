"""Channel routes: who may subscribe to which channel.

@channels.private("orders.{order_id:int}")
def order(user, order_id: int) -> bool: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, get_type_hints

from soundpost.broadcasting.authorization.patterns import Pattern
from soundpost.errors import RouteError
from soundpost.suggestions import did_you_mean
from soundpost.wire.channel_names import Kind, kind_of

Callback = TypeVar("Callback", bound=Callable[..., Any])
Presence = Literal["private", "presence"]


@dataclass(frozen=True, slots=True)
class Context:
    """What a channel route can know of the request, in a parameter called ``ctx``.

    ``request`` is the framework's own; ``channel`` the full name.
    """

    socket_id: str
    channel: str
    request: Any = None


@dataclass(frozen=True, slots=True)
class Route:
    """A pattern of channel names, and who decides about them."""

    kind: Presence
    pattern: Pattern
    callback: Callable[..., Any]
    guests: bool = False
    guards: tuple[str, ...] = ()
    user_id: Callable[[Any], Any] | None = None
    permission: str | None = None
    name: str = ""
    takes_user: str | None = field(default="user")
    """The callback's parameter for the user; None: it takes none."""
    takes_ctx: bool = False
    annotations: Mapping[str, Any] = field(default_factory=dict)
    """Types of its parameters, by name."""


class Match(NamedTuple):
    """A route that is responsible for a channel, with the parameters in its name."""

    route: Route
    parameters: dict[str, Any]


class ChannelPolicy:
    """A channel route as a class: ``pattern``, ``kind``, and a method ``authorize(self, user, **parameters)``."""

    pattern: ClassVar[str]
    kind: ClassVar[Presence] = "private"
    guests: ClassVar[bool] = False

    def __init_subclass__(cls, *, routes: ChannelRoutes | None = None, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "pattern" not in cls.__dict__:
            return
        if not callable(getattr(cls, "authorize", None)):
            raise RouteError(f"{cls.__name__}: a channel policy needs a method authorize(self, user, …)")
        (channels if routes is None else routes).add(
            cls.kind, cls.pattern, cls().authorize, guests=cls.guests, name=f"{cls.__module__}.{cls.__qualname__}"
        )

    def authorize(self, *args: Any, **kwargs: Any) -> Any:
        """Whether the user may subscribe; what a function that is a route would return."""
        raise NotImplementedError


class ChannelRoutes:
    """The channel routes of an application."""

    def __init__(self) -> None:
        self._routes: list[Route] = []
        self.guards: dict[str, Callable[[Any], Any]] = {}
        """By name, functions from a request to its user, or None."""
        self.user_callback: Callable[..., Any] | None = None
        """Says who a user is at sign-in; see :meth:`user`."""

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
        """Decorate who decides about private channels, encrypted and cache channels of the name included.

        The function gets the user and the parameters of the pattern, and ``ctx`` if it asks for it; it returns whether
        the user may subscribe. May be a coroutine function. With ``guests`` it is asked without a user too. ``guards``
        name who finds the user, one after the other. ``permission`` is one that the user must have (Django).
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
        """Decorate who decides about presence channels.

        The function returns what the other members get to know of the user, a dict; True for nothing but the id.
        ``user_id`` makes the id from the user; if it is not given, it is the user's own (``pk``, ``id``), and for a
        guest the ``id`` in what is returned.
        """
        return self._decorator(
            "presence", pattern, guests=guests, guards=guards, permission=permission, user_id=user_id
        )

    def guard(self, name: str) -> Callable[[Callback], Callback]:
        """Decorate a function that finds a request's user, for routes with ``guards=name``."""

        def decorate(function: Callback) -> Callback:
            self.guards[name] = function
            return function

        return decorate

    def user(self, function: Callback) -> Callback:
        """Decorate who says who a user is at sign-in: a dict with ``id``, and ``user_info`` and ``watchlist`` if any.

        Without it, users sign in with their id alone.
        """
        self.user_callback = function
        return function

    def add(self, kind: Presence, pattern: str, callback: Callable[..., Any], **options: Any) -> Route:
        """Add a route. Raises RouteError if it is wrong, or if another matches a name that it matches.

        The same pattern of a function of the same name takes the place of the one before: a module was loaded anew.
        """
        made = Pattern(pattern)
        name = options.get("name") or name_of(callback)
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
        """Routes added in the block stay only if it does not fail."""
        before = list(self._routes)
        try:
            yield
        except BaseException:
            self._routes[:] = before
            raise

    def clear(self) -> None:
        """Forget all routes, guards, and who says who a user is."""
        self._routes.clear()
        self.guards.clear()
        self.user_callback = None

    def find(self, channel: str) -> Match | None:
        """The route responsible for a channel; None if there is none."""
        bare, kind = bare_name(channel)
        for route in self._routes:
            if route.kind == kind:
                parameters = route.pattern.match(bare)
                if parameters is not None:
                    return Match(route, parameters)
        return None

    def why_not(self, channel: str) -> str:
        """Why no route was found, for developers."""
        bare, kind = bare_name(channel)
        others = [route for route in self._routes if route.kind != kind and route.pattern.match(bare) is not None]
        if others:
            return f"{others[0].pattern.text!r} is a {others[0].kind} route, and {channel!r} is a {kind} channel"
        hint = did_you_mean(bare, [route.pattern.text for route in self._routes if route.kind == kind], cutoff=0.4)
        if not self._routes:
            hint = "; there are no routes at all: is the module with them imported?"
        return f"no {kind} channel route matches {bare!r}{hint}"

    def _decorator(self, kind: Presence, pattern: str, **options: Any) -> Callable[[Callback], Callback]:
        def decorate(callback: Callback) -> Callback:
            self.add(kind, pattern, callback, **options)
            return callback

        return decorate


channels = ChannelRoutes()
"""The application's own routes, unless it makes others."""


def bare_name(channel: str) -> tuple[str, Presence]:
    """A channel's name without its prefixes, and whether it is a private or a presence channel."""
    kind = kind_of(channel)
    if kind is Kind.USER or not kind.needs_auth:
        return channel, "private"
    return channel[len(kind.value) :], "presence" if kind.is_presence else "private"


def _route(kind: Presence, pattern: Pattern, callback: Callable[..., Any], options: dict[str, Any]) -> Route:
    name = options.pop("name", "") or name_of(callback)
    guards = options.pop("guards", ())
    signature = inspect.signature(callback)
    parameters = signature.parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    injects = options.pop("injects", False)
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
    return Route(
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


def name_of(callback: Any) -> str:
    """Module and name of a function, for people."""
    return f"{callback.__module__}.{getattr(callback, '__qualname__', type(callback).__name__)}"

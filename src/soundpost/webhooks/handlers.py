"""Handlers: functions of an application, the events that they are called for, and the arguments that they get."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_type_hints

from soundpost.annotations import signature_of
from soundpost.broadcasting.authorization.routes import callback_name
from soundpost.errors import RouteError
from soundpost.suggestions import did_you_mean
from soundpost.webhooks.client_data import reader_of
from soundpost.webhooks.events import EVENTS, ClientEvent, WebhookEvent
from soundpost.webhooks.patterns import ChannelPattern

Source = Literal["event", "pattern", "field", "data"]
"""Source of a parameter's argument; a source within the event has the name of the event's field."""

ANY: Final = "*"
"""The name that stands for all events, also for events that this version does not know."""
_WITH_CHANNEL: Final = frozenset(name for name, kind in EVENTS.items() if "channel" in kind.__struct_fields__)


@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """A function that is called for events with a name, on channels that match a pattern."""

    event_name: str
    """Name of the events, or ``*`` for all."""
    pattern: ChannelPattern | None
    """Pattern of the channels; None for all, and for events about no channel."""
    client_event: str | None
    """Name of the client event; None for all."""
    callback: Callable[..., Any]
    name: str
    """Module and name of the function."""
    sources: Mapping[str, Source]
    """Sources of the arguments, by the names of the parameters."""
    annotations: Mapping[str, Any]
    """Annotations of the parameters."""
    read_data: Callable[[Any], Any]
    """Returns the data of a client event as the annotation of ``data`` says; raises NotCalled."""
    dependencies: frozenset[str]
    """Names of the parameters that FastAPI fills, such as those with ``Depends``."""

    def __str__(self) -> str:
        of = [self.event_name]
        of += [] if self.pattern is None else [self.pattern.text]
        of += [] if self.client_event is None else [self.client_event]
        return f"{self.name} ({', '.join(of)})"

    def match(self, event: WebhookEvent) -> dict[str, Any] | None:
        """Return the converted parameters in the event's channel; None if the handler is not for the event."""
        if self.event_name not in (ANY, event.name):
            return None
        if self.client_event is not None and getattr(event, "event", None) != self.client_event:
            return None
        return {} if self.pattern is None else self.pattern.match(getattr(event, "channel", ""))

    def arguments(self, event: WebhookEvent, channel_parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments for an event; :meth:`match` gave ``channel_parameters``. Raises NotCalled."""
        made: dict[str, Any] = {}
        for name, source in self.sources.items():
            if source == "event":
                made[name] = event
            elif source == "pattern":
                made[name] = channel_parameters[name]
            elif source == "data":
                assert isinstance(event, ClientEvent)
                made[name] = self.read_data(event.value)
            else:
                made[name] = getattr(event, name)
        return made


def handler_of(event_name: str, channel: str | None, client_event: str | None, callback: Callable[..., Any]) -> Handler:
    """Return the handler that a decorator makes. Raises RouteError for a wrong decorator or function."""
    if not callable(callback):
        raise RouteError(f"webhook handler of {event_name!r}: {callback!r:.100} is not a function")
    what = f"webhook handler {callback_name(callback)}"
    _check_decorator(what, event_name, channel, client_event)
    pattern = None if channel is None else ChannelPattern(channel, event_name)
    annotations = _annotations(callback)
    sources: dict[str, Source] = {}
    dependencies = set()
    for parameter in signature_of(callback).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise RouteError(f"{what}: its parameter '{parameter}' gets no arguments: write each parameter by name")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise RouteError(f"{what}: its parameter '{parameter}' is positional only: arguments are given by name")
        source = _source(what, event_name, pattern, parameter, annotations.get(parameter.name, parameter.annotation))
        if source is not None:
            sources[parameter.name] = source
        elif _is_declared(parameter, annotations.get(parameter.name, parameter.annotation)):
            dependencies.add(parameter.name)
    for wanted in pattern.parameters if pattern is not None else ():
        if wanted not in sources:
            raise RouteError(
                f"{what}: it has no parameter {wanted!r}, which the pattern {channel!r} has: add it, or write '*' there"
            )
    if _has_yield(callback):
        raise RouteError(f"{what}: it has a 'yield', so a call would run none of it: remove the 'yield'")
    try:
        read_data = reader_of(annotations.get("data", Any) if sources.get("data") == "data" else Any)
    except RouteError as error:
        raise RouteError(f"{what}: {error}") from None
    name = callback_name(callback)
    asked = frozenset(dependencies)
    return Handler(event_name, pattern, client_event, callback, name, sources, annotations, read_data, asked)


def _has_yield(callback: Any) -> bool:
    """Return whether a function, or the call of an object, is one with ``yield``."""
    functions = (callback, callback.__call__)
    return any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in functions)


def _check_decorator(what: str, event_name: str, channel: str | None, client_event: str | None) -> None:
    for given in (event_name, *(each for each in (channel, client_event) if each is not None)):
        if not isinstance(given, str):
            raise RouteError(f"{what}: {given!r} is not text: write a decorator for each event and each pattern")
    if channel in EVENTS:
        raise RouteError(f"{what}: {channel!r} is an event, not a channel: write a decorator for each event")
    if event_name != ANY and event_name not in EVENTS:
        known = ", ".join(EVENTS)
        hint = did_you_mean(event_name, EVENTS, otherwise=f"; known are {known}, and '*' for all")
        if event_name.startswith("client-"):
            hint = f": write on('client_event', …, event={event_name!r})"
        raise RouteError(f"{what}: {event_name!r} is not the name of an event{hint}")
    if channel is not None and event_name not in (_WITH_CHANNEL | {ANY}):
        raise RouteError(f"{what}: {event_name} is about no channel: leave out {channel!r}")
    if client_event is None:
        return
    if event_name != "client_event":
        raise RouteError(f"{what}: event={client_event!r} is for 'client_event', not for {event_name!r}: leave it out")
    if not client_event.startswith("client-"):
        raise RouteError(
            f"{what}: event={client_event!r}: client events begin with 'client-': write {'client-' + client_event!r}"
        )


def _source(
    what: str, event_name: str, pattern: ChannelPattern | None, parameter: inspect.Parameter, annotation: Any
) -> Source | None:
    """Return the source of a parameter's argument; None if a framework or the default has to give it."""
    name = parameter.name
    kind = EVENTS.get(event_name, WebhookEvent)
    if pattern is not None and name in pattern.parameters:
        return "pattern"
    if isinstance(annotation, type) and issubclass(annotation, WebhookEvent):
        if not issubclass(kind, annotation):
            raise RouteError(
                f"{what}: its parameter '{name}' is annotated with {annotation.__name__}, and the events of "
                f"{event_name!r} are {kind.__name__}: annotate it so"
            )
        return "event"
    if name == "event" and _gets_event(annotation):
        return "event"
    if name == "data" and kind is ClientEvent:
        return "data"
    if name in (*kind.__struct_fields__, "time"):
        return "field"
    if parameter.default is not parameter.empty or _is_declared(parameter, annotation):
        return None
    fields = [each for each in kind.__struct_fields__ if each not in ("event", "data", "name")]
    given = [
        "event",
        *(["data"] if kind is ClientEvent else []),
        *(pattern.parameters if pattern else ()),
        *fields,
        "time",
    ]
    raise RouteError(
        f"{what}: its parameter {name!r} is unknown{did_you_mean(name, given)}; a handler of {event_name!r} "
        f"may have the parameters {', '.join(dict.fromkeys(given))}"
    )


def _gets_event(annotation: Any) -> bool:
    """Return whether a parameter called ``event`` gets the event: unless annotated as text, a client event's name."""
    return annotation is not str


def _is_declared(parameter: inspect.Parameter, annotation: Any) -> bool:
    """Return whether a parameter is FastAPI's to fill: a request, or one with ``Depends`` and its like."""
    declared = [type(parameter.default), *map(type, getattr(annotation, "__metadata__", ()))]
    if isinstance(annotation, type):
        declared.append(annotation)
    return any(each.__module__.partition(".")[0] in ("fastapi", "starlette") for each in declared)


def _annotations(callback: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations, evaluated if all their names are defined."""
    try:
        return get_type_hints(callback, include_extras=True)
    except Exception:
        known = getattr(inspect.unwrap(callback), "__globals__", {})
        return {
            parameter.name: _evaluated(parameter.annotation, known)
            for parameter in signature_of(callback).parameters.values()
            if parameter.annotation is not parameter.empty
        }


def _evaluated(annotation: Any, known: dict[str, Any]) -> Any:
    try:
        return eval(annotation, known) if isinstance(annotation, str) else annotation
    except Exception:
        return annotation

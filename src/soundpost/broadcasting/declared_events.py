"""Events that are only declared: classes with fields and keywords, and no method of their own, as most events are.

All that such an event has of its own is the values of its fields, so the rest is found out once for each class.
"""

from __future__ import annotations

import dataclasses
import inspect
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct

from soundpost.broadcasting.channels import names_of
from soundpost.broadcasting.event import Broadcastable, Event
from soundpost.broadcasting.limits import groups_of, is_event_name
from soundpost.errors import PayloadError

_REMEMBERED: Final = 1_000
"""Classes whose declarations are kept."""
_METHODS: Final = ("broadcast_on", "broadcast_as", "broadcast_with", "broadcast_when")
_KEYWORDS: Final = ("__broadcast_channels__", "__broadcast_name__", "__name__", "ephemeral")
_methods_of: Final = attrgetter(*_METHODS)
_BASES: Final = (Broadcastable, object)
_INHERITED: Final = _methods_of(Broadcastable)
attributes_of: Final = attrgetter(*_METHODS, *_KEYWORDS)
"""Return what a class of events says of its events, which a test may have replaced for a while."""


class Declaration(Struct, frozen=True):
    """The parts that all events of a class share."""

    attributes: tuple[Any, ...]
    """The result of :func:`attributes_of` for the class: with another one the declaration does not hold."""
    fields: list[str]
    """The keys of an event's ``__dict__``, in order: with other ones something of the event itself is replaced."""
    channels: tuple[str, ...]
    """The full names of the channels of all events, each once; empty if they depend on fields."""
    groups: list[tuple[str, ...]]
    """The channels of each message."""
    name: str
    ephemeral: bool


_known: Final[dict[int, tuple[Any, Declaration | None]]] = {}
"""Classes and their declarations by the ``id`` of the class: a metaclass may call two classes equal."""


def declaration_of(kind: Any) -> Declaration | None:
    """Return the declaration of a class; None if events of the class may be more than their fields."""
    known = _known.get(id(kind))  # measured: 0.1 µs, 0.2 with lru_cache
    if known is None:
        if len(_known) >= _REMEMBERED:
            _known.clear()
        known = _known[id(kind)] = kind, _declaration_of(kind)
    return known[1]


def _declaration_of(kind: Any) -> Declaration | None:
    # A mixin, a metaclass or a descriptor may make the fields something else than what is in ``__dict__``.
    is_plain = type(kind) is type and all(issubclass(each, Event) or each in _BASES for each in kind.__mro__)
    if not is_plain or kind is Event:
        return None
    cls: Any = kind
    fields = [field.name for field in dataclasses.fields(cls)]
    channels, name = cls.__broadcast_channels__, cls.__broadcast_name__ or cls.__name__
    if (
        not channels
        or type(name) is not str
        or not is_event_name(name)
        or _methods_of(cls) != _INHERITED
        or cls.__getattribute__ != object.__getattribute__
        or any(hasattr(cls, name) for name in ("__getattr__", "model_dump"))
        or any(name.startswith("_") or _is_descriptor(cls, name) for name in fields)
    ):
        return None
    names = () if any("{" in channel.name for channel in channels) else tuple(names_of(list(channels)))
    try:
        groups = groups_of(names, name)
    except PayloadError:  # again for each event
        return None
    return Declaration(attributes_of(cls), fields, names, groups, name, cls.ephemeral is True)


def channels_for(event: Any, declaration: Declaration) -> tuple[str, ...]:
    """Return the full names of an event's channels, which depend on its fields. Raises PayloadError."""
    try:
        return tuple(names_of([channel.filled(event.__dict__) for channel in event.__broadcast_channels__]))
    except (KeyError, PayloadError):  # what names a channel is not a field, or has no text
        return tuple(names_of(event.broadcast_on()))


def _is_descriptor(kind: type, name: str) -> bool:
    return hasattr(type(inspect.getattr_static(kind, name, None)), "__get__")

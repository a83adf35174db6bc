"""The catalogue of an application's events: names, channels and fields, found by importing its modules."""

from __future__ import annotations

import builtins
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar, get_origin, get_type_hints

from soundpost.annotations import annotations_of
from soundpost.broadcasting.event import Broadcastable, UserNotification
from soundpost.broadcasting.serialization import field_names
from soundpost.errors import ConfigurationError, SoundpostError
from soundpost.values.text import text_of

Fields = dict[str, Any]
"""Annotations by field name; Any where no annotation can be read."""


@dataclass(frozen=True, slots=True)
class DescribedEvent:
    """The description of an event class, without an object of the class."""

    cls: type[Any]
    name: str | None
    """The name in the browser; None where it depends on the event's fields."""
    channels: tuple[str, ...]
    """The channels of ``on=``, placeholders unfilled; empty where ``broadcast_on`` decides for each event."""
    fields: Fields | None
    """The fields of the data; None where ``broadcast_with`` decides for each event."""

    @property
    def is_notification(self) -> bool:
        """True if Echo's ``notification()`` gets the event."""
        return issubclass(self.cls, UserNotification)

    @property
    def path(self) -> str:
        """Module and qualified name of the class."""
        return f"{self.cls.__module__}.{self.cls.__qualname__}"


def events_in(modules: Iterable[str]) -> list[DescribedEvent]:
    """Return the events of modules and, for packages, of all modules in them. Raises ConfigurationError."""
    found: dict[type[Any], DescribedEvent] = {}
    for name in modules:
        for module in _import_all(name):
            found.update({cls: describe(cls) for cls in _events_of(module)})
    return list(found.values())


def known_events() -> list[DescribedEvent]:
    """Return all events whose modules have been imported."""
    classes = dict.fromkeys(_subclasses(Broadcastable))
    return [describe(cls) for cls in classes if _is_event(cls) and not cls.__module__.startswith("soundpost.")]


def describe(cls: type[Any]) -> DescribedEvent:
    """Return the description of an event class."""
    channels = () if _defines(cls, "broadcast_on") else getattr(cls, "__broadcast_channels__", ())
    fields = None if _defines(cls, "broadcast_with") else fields_of_class(cls)
    if fields is not None and issubclass(cls, UserNotification):
        fields.pop("user_id", None)
    return DescribedEvent(cls, _name_of(cls), tuple(map(str, channels)), fields)


def fields_of_class(cls: type[Any]) -> Fields:
    """Return the public fields of a dataclass, pydantic model, Struct or named tuple, else the annotated names."""
    hints = _hints(cls)
    known = field_names(cls)
    if known is not None:
        names = known
    elif hasattr(cls, "model_fields"):
        names = [name for name, field in cls.model_fields.items() if not field.exclude]
        hints.update({name: field.return_type for name, field in cls.model_computed_fields.items()})
        names += list(cls.model_computed_fields)
    else:
        ours = _hints(Broadcastable)
        names = [name for name, hint in hints.items() if not _is_class_variable(hint) and name not in ours]
    return {name: hints.get(name, Any) for name in names if not name.startswith("_")}


def _events_of(module: ModuleType) -> Iterator[type[Any]]:
    handed_on = getattr(module, "__all__", ())
    for name, value in vars(module).items():
        if inspect.isclass(value) and _is_event(value) and (value.__module__ == module.__name__ or name in handed_on):
            yield value


def _is_event(cls: type[Any]) -> bool:
    """Return whether a class names channels: without channels it is a base class of other events."""
    if not issubclass(cls, Broadcastable):
        return callable(getattr(cls, "broadcast_on", None)) and not getattr(cls, "_is_protocol", False)
    return _defines(cls, "broadcast_on") or bool(cls.__broadcast_channels__) or _is_notification(cls)


def _is_notification(cls: type[Any]) -> bool:
    return issubclass(cls, UserNotification) and cls is not UserNotification


def _defines(cls: type[Any], method: str) -> bool:
    """Return whether a class has a method of its own, not the one of this package's classes."""
    own = getattr(cls, method, None)
    return own is not None and own not in (getattr(Broadcastable, method), getattr(UserNotification, method))


def _is_class_variable(hint: Any) -> bool:
    return hint is ClassVar or get_origin(hint) is ClassVar


def _name_of(cls: type[Any]) -> str | None:
    if not hasattr(cls, "broadcast_as"):
        return cls.__name__
    try:
        return text_of(cls.broadcast_as(object.__new__(cls)), cls.__name__)
    except Exception:  # the name depends on fields, which the object does not have
        return None


def _hints(cls: type[Any]) -> Fields:
    try:
        return get_type_hints(cls, include_extras=True)
    except Exception:  # a name for type checkers only: the other hints are still of use
        hints: Fields = {}
        for each in reversed(cls.__mro__):
            names = vars(sys.modules.get(each.__module__, builtins))
            for name, annotation in annotations_of(each).items():
                hints[name] = _hint(annotation, names)
        return hints


def _hint(annotation: Any, names: dict[str, Any]) -> Any:
    alone = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return get_type_hints(alone, globalns=names, include_extras=True)["it"]
    except Exception:
        return Any


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for each in cls.__subclasses__():
        yield each
        yield from _subclasses(each)


def _import_all(name: str) -> Iterator[ModuleType]:
    module = _import(name)
    yield module
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
        yield _import(found.name)


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except SoundpostError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error

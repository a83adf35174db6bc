"""Checks of the options of an event: those of its class when the class is made, those of a call in the call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from soundpost.errors import ConfigurationError

ON_ERROR: Final = ("raise", "log")
_PLAIN: Final = (str, bytes, int, float, list, tuple, set, dict)
"""Types of values in the body of a class that are options. A computed value, such as a property, is no option."""


def check_class(kind: type) -> None:
    """Raise ConfigurationError for a wrong option of an event's class, given as a keyword or in the class's body."""
    place = f"event {kind.__name__}: "
    if type(kind).__hash__ is None:
        raise ConfigurationError(
            f"{place}its metaclass {type(kind).__name__} has __eq__ without __hash__: add __hash__ = type.__hash__"
        )
    own = {name: value for name, value in vars(kind).items() if isinstance(value, _PLAIN)}
    check_on_error(own.get("on_error"), place)
    check_queue(own.get("broadcast_queue"), place, "broadcast_queue")
    for name in ("after_commit", "ephemeral"):
        check_flag(own.get(name), name, place)
    if "broadcast_via" in own:
        connection_names(own["broadcast_via"], place, "broadcast_via")


def check_on_error(value: Any, place: str = "") -> None:
    """Raise ConfigurationError for anything but ``raise``, ``log`` and None."""
    if value is not None and value not in ON_ERROR:
        raise ConfigurationError(f"{place}on_error {value!r:.100}: 'raise' or 'log'")


def check_queue(value: Any, place: str = "", name: str = "queue") -> None:
    """Raise ConfigurationError for anything but text and None."""
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{place}{name} {value!r:.100}: the name of a queue is expected")


def check_flag(value: Any, name: str, place: str = "") -> None:
    """Raise ConfigurationError for anything but True, False and None: a text such as ``no`` would count as true."""
    if value is not None and not isinstance(value, bool):
        raise ConfigurationError(f"{place}{name} {value!r:.100}: True or False")


def connection_names(value: Any, place: str = "", name: str = "via") -> tuple[str, ...]:
    """Return the names of one connection or several. Raises ConfigurationError for anything else."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        found = tuple(value)
        if all(isinstance(each, str) for each in found):
            return found
    raise ConfigurationError(f"{place}{name} {value!r:.100}: the name of a connection, or several names, are expected")

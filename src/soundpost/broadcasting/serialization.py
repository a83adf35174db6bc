"""What an event's fields become in JSON. What has no obvious form is refused by name, ORM objects above all.

Dumping a model whole would send its password hash to browsers: say which fields are meant.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, TypeVar
from uuid import UUID

from soundpost.errors import PayloadError

T = TypeVar("T")
Converter = Callable[[Any], Any]

_PLAIN: Final = (str, bool, int, float, type(None))
_registered: dict[type, Converter] = {}
_DEEPEST: Final = 100


def register_serializer(kind: type[T], serializer: Any = None) -> Any:
    """Say what objects of a class, and of its subclasses, are in events.

    ``serializer`` is a function from the object to anything that can be serialised, a pydantic model with
    ``from_attributes``, or a serializer class of Django REST framework. Without one, it decorates a function::

        @register_serializer(Order)
        def order(order: Order) -> dict: return {"id": order.pk, "status": order.status}
    """
    if serializer is None:
        return lambda function: _register(kind, function)
    _register(kind, serializer)
    return serializer


def unregister_serializer(kind: type) -> None:
    """Forget what was registered for a class."""
    _registered.pop(kind, None)


def _register(kind: type, serializer: Any) -> Any:
    if hasattr(serializer, "model_validate"):  # pydantic
        _registered[kind] = lambda value: serializer.model_validate(value, from_attributes=True)
    elif isinstance(serializer, type) and hasattr(serializer, "to_representation"):  # Django REST framework
        _registered[kind] = lambda value: dict(serializer(value).data)
    elif callable(serializer):
        _registered[kind] = serializer
    else:
        raise TypeError(f"serializer for {kind.__name__}: {serializer!r} is neither a function nor a serializer class")
    return serializer


def to_json(value: Any, what: str) -> str:
    """The JSON text of an event's data. Raises PayloadError that names the field; ``what`` names the event."""
    return json.dumps(plain(value, what), ensure_ascii=False, separators=(",", ":"))


def plain(value: Any, what: str, path: str = "") -> Any:
    """A value as dicts, lists, strings, numbers, bools and None. Raises PayloadError."""
    return _Walk(what).plain(value, path, 0)


class _Walk:
    def __init__(self, what: str) -> None:
        self._what = what

    def plain(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if kind is float and (value != value or value in (float("inf"), float("-inf"))):
            raise self._error(path, f"{value} has no form in JSON")
        if kind in _PLAIN:
            return value
        if depth > _DEEPEST:
            raise self._error(path, f"nested more than {_DEEPEST} deep; does it contain itself?")
        registered = _serializer_of(kind)
        if registered is not None:
            return self.plain(registered(value), path, depth + 1)
        if hasattr(value, "__broadcast__"):
            return self.plain(value.__broadcast__(), path, depth + 1)
        if isinstance(value, Mapping):
            return {self._key(key, path): self.plain(each, f"{path}.{key}", depth + 1) for key, each in value.items()}
        if isinstance(value, list | tuple) and not hasattr(value, "_asdict"):
            return [self.plain(each, f"{path}[{index}]", depth + 1) for index, each in enumerate(value)]
        if isinstance(value, set | frozenset):
            return [self.plain(each, f"{path}[…]", depth + 1) for each in sorted(value, key=str)]
        return self._object(value, path, depth)

    def _object(self, value: Any, path: str, depth: int) -> Any:
        if is_orm_object(value):
            name = type(value).__name__
            raise self._error(
                path,
                f"{name} is an ORM object, and is never sent whole: give the fields that browsers may see, or say what "
                f"a {name} is in events with register_serializer({name}, …) or a method __broadcast__",
            )
        if isinstance(value, Enum):
            return self.plain(value.value, path, depth + 1)
        simple = _simple(value)
        if simple is not None:
            return simple
        if hasattr(value, "model_dump"):  # pydantic
            return value.model_dump(mode="json")
        fields = fields_of(value)
        if fields is not None:
            return {name: self.plain(each, f"{path}.{name}", depth + 1) for name, each in fields.items()}
        promise = getattr(value, "_proxy____cast", None)  # Django's lazy translations
        if promise is not None:
            return str(value)
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise self._error(path, f"{kind} has no form in JSON: give it one with register_serializer, or send its fields")

    def _key(self, key: Any, path: str) -> str:
        if isinstance(key, str):
            return str(key)
        if isinstance(key, Enum):
            return self._key(key.value, path)
        if isinstance(key, bool) or not isinstance(key, int | UUID | date):
            raise self._error(path, f"the key {key!r} is no text")
        return key.isoformat() if isinstance(key, date) else str(key)

    def _error(self, path: str, reason: str) -> PayloadError:
        return PayloadError(f"{self._what}: {path.lstrip('.') or 'its data'}: {reason}")


def _simple(value: Any) -> Any:
    """Those of the standard library that have one obvious form; None for others."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID | Decimal | PurePath):
        return str(value)
    for kind in (str, int, float):
        if isinstance(value, kind):  # subclasses: safe strings, numbers with units
            return kind(value)
    return None


def fields_of(value: Any) -> dict[str, Any] | None:
    """The public fields of a dataclass, a named tuple, an attrs class or a msgspec Struct; None for others."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
    elif hasattr(value, "__struct_fields__"):
        names = list(value.__struct_fields__)
    elif hasattr(value, "__attrs_attrs__"):
        names = [attribute.name for attribute in value.__attrs_attrs__]
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        names = list(value._fields)
    else:
        return None
    return {name: getattr(value, name) for name in names if not name.startswith("_")}


def is_orm_object(value: Any) -> bool:
    """Whether it is a model of Django, SQLAlchemy, SQLModel, Tortoise, Peewee or Pony."""
    kind = type(value)
    return (
        hasattr(value, "_sa_instance_state")
        or (hasattr(kind, "_meta") and (hasattr(kind, "objects") or hasattr(kind, "_default_manager")))
        or (hasattr(kind, "_meta") and hasattr(kind, "select"))
        or (hasattr(kind, "_meta") and hasattr(kind, "fetch_related"))
        or hasattr(kind, "_pk_columns_")
    )


def _serializer_of(kind: type) -> Converter | None:
    if not _registered:
        return None
    for each in kind.__mro__:
        if each in _registered:
            return _registered[each]
    return None

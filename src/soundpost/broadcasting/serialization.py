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
from typing import Any, Final, TypeVar, overload
from uuid import UUID

from soundpost.errors import PayloadError

T = TypeVar("T")
Converter = Callable[[Any], Any]

_PLAIN: Final = (str, bool, int, float, type(None))
_registered: dict[type, Converter] = {}
_DEEPEST: Final = 100


@overload
def register_serializer(kind: type, serializer: None = None) -> Callable[[T], T]: ...
@overload
def register_serializer(kind: type, serializer: T) -> T: ...
def register_serializer(kind: type, serializer: Any = None) -> Any:
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
        _registered[kind] = _validating(serializer)
    elif isinstance(serializer, type) and hasattr(serializer, "to_representation"):  # Django REST framework
        _registered[kind] = lambda value: dict(serializer(value).data)
    elif callable(serializer):
        _registered[kind] = serializer
    else:
        raise TypeError(f"serializer for {kind.__name__}: {serializer!r} is neither a function nor a serializer class")
    return serializer


def _validating(model: Any) -> Converter:
    def validate(value: Any) -> Any:
        return model.model_validate(value, from_attributes=True)

    validate.__annotations__["return"] = model  # for `soundpost types`
    return validate


def to_json(value: Any, what: str) -> str:
    """The JSON text of an event's data. Raises PayloadError that names the field; ``what`` names the event."""
    return json.dumps(plain(value, what), ensure_ascii=False, separators=(",", ":"))


def plain(value: Any, what: str, path: str = "") -> Any:
    """A value as dicts, lists, strings, numbers, bools and None. Raises PayloadError."""
    return _Walk(what).plain(value, path, 0)


def dumped(model: Any, what: str) -> Any:
    """A pydantic model as its own aliases and serialisers make it. Raises PayloadError."""
    return _Walk(what).dumped(model, "")


class _Walk:
    def __init__(self, what: str) -> None:
        self._what = what

    def plain(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if kind is float and (value != value or value in (float("inf"), float("-inf"))):
            raise self._error(path, f"{value} has no form in JSON")
        if kind is str and not is_unicode(value):
            raise self._error(path, "a half of a surrogate pair is no Unicode text")
        if kind in _PLAIN:
            return value
        if depth > _DEEPEST:
            raise self._error(path, f"nested more than {_DEEPEST} deep; does it contain itself?")
        registered = serializer_of(kind)
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
            return self.plain(simple, path, depth + 1)
        if hasattr(value, "model_dump"):  # pydantic: its own aliases and serialisers apply
            return self.plain(self.dumped(value, path), path, depth + 1)
        fields = fields_of(value)
        if fields is not None:
            return {name: self.plain(each, f"{path}.{name}", depth + 1) for name, each in fields.items()}
        promise = getattr(value, "_proxy____cast", None)  # Django's lazy translations
        if promise is not None:
            return str(value)
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise self._error(path, f"{kind} has no form in JSON: give it one with register_serializer, or send its fields")

    def dumped(self, model: Any, path: str) -> Any:
        self._look_into(model, path, 0)
        try:
            return model.model_dump(mode="json")
        except ValueError as error:  # PydanticSerializationError
            raise self._error(path, f"{type(model).__name__}: {error}") from error

    def _look_into(self, value: Any, path: str, depth: int) -> None:
        """Find ORM objects that pydantic would dump whole, as it does with dataclasses and SQLModel's."""
        if is_orm_object(value):
            raise self._error(
                path,
                f"{type(value).__name__} is an ORM object, and pydantic would send all of it: give the field a "
                "field_serializer, or a model with the fields that browsers may see as its type",
            )
        if depth > _DEEPEST:
            return
        if hasattr(value, "model_dump"):
            children = [(f".{name}", getattr(value, name, None)) for name in _fields_dumped_as_they_are(type(value))]
        elif isinstance(value, Mapping):
            children = [(f".{key}", each) for key, each in value.items()]
        elif isinstance(value, list | tuple | set | frozenset):
            children = [(f"[{index}]", each) for index, each in enumerate(value)]
        else:
            children = [(f".{name}", each) for name, each in (fields_of(value) or {}).items()]
        for step, each in children:
            if type(each) not in _PLAIN:
                self._look_into(each, path + step, depth + 1)

    def _key(self, key: Any, path: str) -> str:
        if isinstance(key, str) and is_unicode(key):
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
    # Subclasses: safe strings, whose str() is another, numbers with units
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return None


def _fields_dumped_as_they_are(model: Any) -> list[str]:
    """The fields of a pydantic model that have no serialiser of the application's own."""
    decorators = model.__pydantic_decorators__
    if decorators.model_serializers:
        return []
    own = {name for each in decorators.field_serializers.values() for name in each.info.fields}
    return [
        name
        for name, info in model.model_fields.items()
        if name not in own and "*" not in own and not info.exclude and not any(map(_is_serializer, info.metadata))
    ]


def _is_serializer(annotation: Any) -> bool:
    return type(annotation).__name__ in ("PlainSerializer", "WrapSerializer")


def is_unicode(text: str) -> bool:
    """Whether a text can be sent: Python's may have halves of surrogate pairs."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def fields_of(value: Any) -> dict[str, Any] | None:
    """The public fields of a dataclass, a named tuple, an attrs class or a msgspec Struct; None for others."""
    names = field_names(type(value))
    return None if names is None else {name: getattr(value, name) for name in names if not name.startswith("_")}


def field_names(cls: type[Any]) -> list[str] | None:
    """The fields of a class of these kinds; None for others."""
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    if hasattr(cls, "__struct_fields__"):
        return list(cls.__struct_fields__)
    if hasattr(cls, "__attrs_attrs__"):
        return [attribute.name for attribute in cls.__attrs_attrs__]
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return list(cls._fields)
    return None


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


def serializer_of(kind: type) -> Converter | None:
    """What makes something of the objects of a class, if something is registered for it."""
    if not _registered:
        return None
    for each in kind.__mro__:
        if each in _registered:
            return _registered[each]
    return None

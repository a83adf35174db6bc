"""TypeScript types of Python annotations, for JSON made by :mod:`soundpost.broadcasting.serialization`.

Dataclasses, models, Structs, TypedDicts and enumerations become declarations with names: they may contain themselves.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from pathlib import PurePath
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NewType,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)
from uuid import UUID

from soundpost.broadcasting.catalogue import fields_of_class
from soundpost.values.serializers import serializer_of

UNKNOWN: Final = "unknown"
INDENT: Final = "    "
_SIMPLE: Final = (
    (bool, "boolean"),
    ((str, UUID, Decimal, datetime, date, time, PurePath), "string"),
    ((int, float), "number"),
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_TAKEN: Final = {"Events", "Record", "Array", "string", "number", "boolean", "unknown", "null", "undefined", "any"}


class Types:
    """Translator of annotations; ``declared`` has the declarations that the types need, by name."""

    def __init__(self) -> None:
        self.declared: dict[str, str] = {}
        self._names: dict[Any, str] = {}
        self._duration = "number"

    def of(self, annotation: Any) -> str:
        """Return the type of an annotation; ``unknown`` where nothing better is known."""
        if annotation is None or annotation is type(None):
            return "null"
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin in (Annotated, Required, NotRequired):
            return self.of(arguments[0])
        if isinstance(annotation, NewType):
            return self.of(annotation.__supertype__)
        if hasattr(annotation, "__value__"):  # type X = …
            return self.of(annotation.__value__)
        if isinstance(annotation, TypeVar):
            return self.of(annotation.__bound__) if annotation.__bound__ else UNKNOWN
        if origin is Literal:
            return _union(_literal(each) for each in arguments)
        if origin in (Union, types.UnionType):
            return _union(self.of(each) for each in arguments)
        kind = origin or annotation
        return self._of_class(kind, arguments) if inspect.isclass(kind) else UNKNOWN

    def object(self, kind: type[Any], fields: Mapping[str, Any], depth: int = 0, optional: Collection[str] = ()) -> str:
        """Return the type of a class's objects with these fields; all lines but the first are indented by ``depth``."""
        if not fields:
            return "Record<string, never>"
        outside = self._duration
        self._duration = "string" if _is_model(kind) else "number"  # pydantic writes PT30S, Soundpost seconds
        lines = [
            f"{INDENT * (depth + 1)}{key(name)}{'?' if name in optional else ''}: {self.of(annotation)};"
            for name, annotation in fields.items()
        ]
        self._duration = outside
        return "\n".join(["{", *lines, INDENT * depth + "}"])

    def _of_class(self, kind: type[Any], arguments: tuple[Any, ...]) -> str:
        registered = serializer_of(kind) or getattr(kind, "__broadcast__", None)
        if registered is not None:
            return self._returned(registered)
        if issubclass(kind, Flag):
            return "number"  # members are combined
        if issubclass(kind, Enum):
            return self._named(kind)
        for kinds, name in _SIMPLE:
            if issubclass(kind, kinds):
                return name
        if issubclass(kind, timedelta):
            return self._duration
        if is_structure(kind):
            return self._named(kind)
        if issubclass(kind, Mapping):
            values = self.of(arguments[1]) if len(arguments) == 2 else UNKNOWN
            return f"Record<string, {values}>"
        if issubclass(kind, tuple) and arguments and arguments[-1] is not Ellipsis:
            return f"[{', '.join(self.of(each) for each in arguments)}]"
        if issubclass(kind, Iterable):
            return _array(self.of(arguments[0]) if arguments else UNKNOWN)
        return UNKNOWN

    def _returned(self, serializer: Any) -> str:
        if is_structure(serializer):
            return self.of(serializer)
        try:
            return self.of(get_type_hints(serializer, include_extras=True).get("return", Any))
        except Exception:  # without hints, or with names known to type checkers only
            return UNKNOWN

    def _named(self, kind: type[Any]) -> str:
        name = self._names.get(kind)
        if name is None:
            name = self._names[kind] = self._free_name(kind)
            self.declared[name] = ""  # reserves the place before declarations it needs, even itself
            self.declared[name] = self._declaration(kind, name)
        return name

    def _free_name(self, kind: type[Any]) -> str:
        wanted = name = re.sub(r"\W", "", kind.__name__)
        number = 2
        while name in self.declared or name in _TAKEN:
            name, number = f"{wanted}{number}", number + 1
        return name

    def _declaration(self, kind: type[Any], name: str) -> str:
        if issubclass(kind, Enum):
            return f"export type {name} = {_union(_literal(member.value) for member in kind)};"
        root = (
            getattr(kind, "model_fields", {}).get("root") if getattr(kind, "__pydantic_root_model__", False) else None
        )
        if root is not None:
            return f"export type {name} = {self.of(root.annotation)};"
        if is_typeddict(kind):
            fields = get_type_hints(kind, include_extras=True)
            optional = [name for name, hint in fields.items() if _is_optional(kind, name, hint)]
            return f"export interface {name} {self.object(kind, fields, optional=optional)}"
        return f"export interface {name} {self.object(kind, fields_of_class(kind))}"


def is_structure(kind: Any) -> bool:
    """Return whether a class has named fields: a dataclass, a model of pydantic, a Struct, a TypedDict and so on."""
    return inspect.isclass(kind) and (
        dataclasses.is_dataclass(kind)
        or is_typeddict(kind)
        or hasattr(kind, "__struct_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or _is_model(kind)
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def _is_optional(kind: Any, name: str, hint: Any) -> bool:
    """Return whether a TypedDict may lack a key, also where annotations are text and the class does not know."""
    origin = get_origin(hint)
    return origin is NotRequired or (origin is not Required and name in kind.__optional_keys__)


def _is_model(kind: type[Any]) -> bool:
    return hasattr(kind, "__pydantic_fields__") and not dataclasses.is_dataclass(kind)


def key(name: str) -> str:
    """Return a property's name, in quotes if needed."""
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name)


def _literal(value: Any) -> str:
    if isinstance(value, Enum):
        return _literal(value.value)
    if value is None or isinstance(value, str | int | float):
        return json.dumps(value)
    return "string" if isinstance(value, UUID | Decimal | date | time | PurePath) else UNKNOWN


def _union(members: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(members)) or "never"


def _array(member: str) -> str:
    return f"({member})[]" if " | " in member else f"{member}[]"

"""Data of client events, checked by the annotation of a handler."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec.inspect import CustomType, type_info

from soundpost.errors import RouteError


class NotCalled(Exception):  # noqa: N818 - no error of the application
    """A handler is not called for an event: the browser's data does not match the handler's annotations."""


def reader_of(annotation: Any) -> Callable[[Any], Any]:
    """Return a function that returns a JSON value as ``annotation`` says, or raises NotCalled.

    Dataclasses, typed dicts and msgspec's structs are read by msgspec, models by pydantic. Raises RouteError for an
    annotation that neither can read.
    """
    if annotation is Any or annotation is inspect.Parameter.empty:
        return lambda value: value
    if not _has_foreign_type(annotation):
        return lambda value: _read(lambda: msgspec.convert(value, annotation))
    if isinstance(annotation, str):
        raise RouteError(
            f"the annotation {annotation!r} of 'data' is not defined here: define it above the handler, at the top "
            "of a module, since browsers' data is checked with it"
        )
    pydantic: Any = sys.modules.get("pydantic")
    if pydantic is not None:
        try:
            adapter = pydantic.TypeAdapter(annotation)
        except pydantic.errors.PydanticUserError:
            pass
        else:
            return lambda value: _read(lambda: adapter.validate_python(value))
    raise RouteError(
        f"'data: {inspect.formatannotation(annotation)}' is not a type that JSON can be read into: use a dataclass, a "
        "TypedDict, a model of msgspec or pydantic, or dict, list, str and similar types"
    )


def _read(convert: Callable[[], Any]) -> Any:
    try:
        return convert()
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise NotCalled(f"its data is wrong: {error}") from None


def _has_foreign_type(annotation: Any) -> bool:
    """Return whether msgspec does not know an annotation, or a type in it."""
    try:
        return any(isinstance(each, CustomType) for each in _types_in(type_info(annotation)))
    except (TypeError, NotImplementedError, NameError):
        return True


def _types_in(found: Any) -> Iterator[Any]:
    yield found
    for name in ("types", "item_types"):
        for each in getattr(found, name, ()):
            yield from _types_in(each)
    for name in ("item_type", "key_type", "value_type"):
        each = getattr(found, name, None)
        if each is not None:
            yield from _types_in(each)

"""The text of a value that becomes part of a name: of a channel, an event, a user, a key of JSON.

The text, or the digits, are those that the value has in an event's data: so the name of a channel and the data sent to
the channel say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from soundpost.errors import PayloadError
from soundpost.values.numpy_values import is_scalar, python_value
from soundpost.values.orm import is_orm_object, primary_key
from soundpost.values.proxies import unproxied
from soundpost.values.serializers import serializer_of
from soundpost.wire.json_text import is_unicode

_MAX_DEPTH: Final = 10
"""Steps from a value to its text: a model's key, which is an enumeration's member, whose value is a number."""
_IDS: Final = ("pk", "id")
_USER_IDS: Final = (*_IDS, "user_id", "sub", "username")
_SHORT: Final = 1 << 64
_NONE: Final = object()


def text_of(value: Any, what: str) -> str:
    """Return the text of a value; ``what`` names the place of the value, for the error.

    Texts are themselves, integers their digits, members of an enumeration their value. ``UUID``, finite ``Decimal``,
    dates and paths are as in JSON. Objects of an ORM are their primary key, objects with ``pk`` or ``id`` that value,
    others the result of ``__broadcast__`` or of a registered serializer. Proxies and lazy texts are seen through.
    Raises PayloadError for all else: None, empty text, bytes, bools, floats, objects without an id.
    """
    if type(value) is int and -_SHORT < value < _SHORT:
        return str(value)
    found = value
    for _ in range(_MAX_DEPTH):
        if type(found) is str:
            return _whole(found, what)
        step = _step(found, what)
        if step is _NONE:
            break
        found = step
    raise PayloadError(f"{what}: {_fault(found, value)}")


def user_id_of(user: Any, what: str = "a user's id") -> str:
    """Return a user's id as text: never both ``1`` and ``"1"``, which would be two members of one channel.

    The id is the primary key of an ORM object, else the first of ``pk``, ``id``, ``user_id``, ``sub`` and ``username``
    that an object or a mapping has, else the result of Flask-Login's ``get_id()``. A text or a number is an id by
    itself. Raises PayloadError where :func:`text_of` does.
    """
    user = unproxied(user)
    if isinstance(user, type):
        raise PayloadError(f"{what}: the class {user.__name__} is not a user")
    if isinstance(user, str | Enum) or is_orm_object(user):
        return text_of(user, what)
    for name in _USER_IDS:
        found = user.get(name) if isinstance(user, Mapping) else getattr(user, name, None)
        if found is not None and found != "":
            return text_of(found, what)
    get_id = getattr(user, "get_id", None)
    if callable(get_id):
        return text_of(get_id(), what)
    try:
        return text_of(user, what)
    except PayloadError:
        if user is None or isinstance(user, bool | float | bytes):
            raise
        kind = type(user).__name__
        raise PayloadError(f"{what}: a user of type {kind} has none of {', '.join(_USER_IDS)}") from None


def is_text(value: Any) -> bool:
    """Return whether a value is one text, behind a proxy too, or a member of an enumeration."""
    return type(value) is str or isinstance(unproxied(value), str | Enum)


def _whole(text: str, what: str) -> str:
    if not text:
        raise PayloadError(f"{what}: the text is empty")
    if not is_unicode(text):
        raise PayloadError(f"{what}: a half of a surrogate pair is not Unicode text")
    return text


def _step(value: Any, what: str) -> Any:
    """Return the value that a value stands for, one step nearer to a text; ``_NONE`` for a value without a text."""
    value = unproxied(value)
    if is_scalar(value) and not isinstance(value, str | float):
        return python_value(value)
    if is_orm_object(value):
        key = primary_key(value)
        if key is None:
            raise PayloadError(f"{what}: this {type(value).__name__} has no primary key yet: save it first")
        return key
    if isinstance(value, type | bool | float):
        return _NONE
    if not isinstance(value, Enum | str | int):
        for name in _IDS:
            found = getattr(value, name, None)
            if found is not None:
                return found
    registered = serializer_of(type(value))
    if registered is not None:
        return registered(value)
    if hasattr(value, "__broadcast__"):
        return value.__broadcast__()
    if isinstance(value, Enum):
        return value.value
    return _simple(value, what)


def _simple(value: Any, what: str) -> Any:
    if isinstance(value, str):
        return str.__str__(value)  # a subclass may show itself otherwise
    if isinstance(value, int):
        try:
            return int.__repr__(value)
        except ValueError:  # Python converts no more than some thousand digits
            raise PayloadError(f"{what}: the number has too many digits") from None
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else _NONE
    if isinstance(value, UUID | PurePath):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat() if value == value else _NONE  # pandas' NaT, a datetime, equals nothing
    return _NONE


def _fault(found: Any, value: Any) -> str:
    if found is None:
        return "None is not text" if value is None else f"{type(value).__name__} stands for None, which is not text"
    if isinstance(found, bool | float | Decimal):
        return f"{found!r} has no one text: write the one that you mean"
    if isinstance(found, bytes | bytearray | memoryview):
        return "bytes are not text: decode them"
    if isinstance(found, tuple) and found is not value:
        return f"{type(value).__name__} has an id of {len(found)} parts: write the text that you mean"
    if isinstance(found, type):
        return f"the class {found.__name__} is not text: an object or its id is meant"
    kind = type(found)
    return f"{kind.__module__}.{kind.__qualname__} is not text and has no pk or id: give the text that you mean"

"""Single values of an application's settings, checked and converted; each message begins with the value's place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from soundpost.environment import truth
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.suggestions import did_you_mean
from soundpost.wire.addresses import AddressError
from soundpost.wire.origins import OriginError, check_origins

T = TypeVar("T")


def refuse_unknown(names: Iterable[str], known: Iterable[str], place: str, *, otherwise: str = "") -> None:
    """Raise ConfigurationError for a name that is not ``known``, with the nearest one or else ``otherwise``."""
    known = frozenset(known)
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"{place}: {name!r} is not a setting{did_you_mean(name, known, otherwise=otherwise)}"
            )


def lower_names(value: Any, place: str) -> dict[str, Any]:
    """Return a mapping with its names in lower case. Raises ConfigurationError for anything but a mapping."""
    return {str(name).lower(): each for name, each in as_mapping(value, place).items()}


def as_mapping(value: Any, place: str) -> Mapping[Any, Any]:
    """Return ``value``. Raises ConfigurationError for anything but a mapping."""
    if not isinstance(value, Mapping):
        # A text may be a secret, or have one in it, that stands where a dictionary should.
        shown = "a text" if isinstance(value, str | bytes) else redacted(value)
        raise ConfigurationError(f"{place}: {shown} should be a dictionary of settings such as {{'url': …}}")
    return value


def as_text(value: Any, place: str) -> str:
    """Return ``value``. Raises ConfigurationError for anything but a text, without the value, which may be secret."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{place}: a text is expected, not {type(value).__name__}")
    return value


def as_address(read: Callable[[Any], T], value: Any, place: str) -> T:
    """Return a host, port or path as ``read`` returns it. Raises ConfigurationError for an AddressError of ``read``."""
    try:
        return read(value)
    except AddressError as error:
        raise ConfigurationError(f"{place} {error}") from None


def as_limit(value: Any, place: str) -> int:
    """Return a whole number from 1 up, also from a text. Raises ConfigurationError."""
    try:
        limit = int(value)
    except (TypeError, ValueError, OverflowError):
        limit = 0
    if limit < 1:
        raise ConfigurationError(f"{place}: {redacted(value)} is not a limit: a number from 1 up")
    return limit


def as_bool(value: Any, place: str) -> bool:
    """Return a truth value, also from words such as ``yes``; an empty text is false. Raises ConfigurationError."""
    text = str(value).strip()
    found = truth(text)
    if found is None and text:
        raise ConfigurationError(f"{place}: {redacted(value)} is neither true nor false")
    return bool(found)


def as_origins(value: Any, place: str) -> tuple[str, ...]:
    """Return origins from a list or from a text with commas. Raises ConfigurationError."""
    if isinstance(value, str):
        value = [each.strip() for each in value.split(",") if each.strip()]
    if not isinstance(value, list | tuple | set) or not all(isinstance(each, str) for each in value):
        raise ConfigurationError(f"{place}: {redacted(value)} should be a list of texts")
    try:
        return check_origins(value)
    except OriginError as error:
        raise ConfigurationError(f"{place}: {error}") from None

"""Checks of the arguments that a program gives: a wrong one is refused where it is given, by its name.

No message shows a text: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from soundpost.errors import ConfigurationError, PayloadError
from soundpost.wire.addresses import AddressError, split_url
from soundpost.wire.json_text import encode


def check_text(value: Any, what: str) -> None:
    """Raise ConfigurationError for anything but text that is not empty, such as None of a variable that is not set."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{what} is {_kind(value)}: text is expected")
    if not value:
        raise ConfigurationError(f"{what} is empty")


def check_http_url(value: Any, what: str) -> None:
    """Raise ConfigurationError for anything but a URL such as ``https://example.com/broadcasting/auth``."""
    check_text(value, what)
    if not value.strip().lower().startswith(("http://", "https://")):
        raise ConfigurationError(f"{what} does not begin with http:// or https:// and a host")
    try:
        split_url(value)
    except AddressError as error:
        raise ConfigurationError(f"{what} cannot be used: {error}") from None


def check_function(value: Any, what: str, expected: str) -> None:
    """Raise ConfigurationError for anything but a function or None; ``expected`` says what is meant."""
    if value is not None and not callable(value):
        raise ConfigurationError(f"{what} is {_kind(value)}: {expected} is expected")


def check_seconds(value: Any, what: str) -> None:
    """Raise ConfigurationError for anything but a number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"{what} is {_kind(value)}: a number of seconds is expected")
    if value != value:
        raise ConfigurationError(f"{what} is not a number: a number of seconds is expected")


def check_texts(value: Any, what: str) -> None:
    """Raise ConfigurationError for anything but a mapping without None, which a variable that is not set gives."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{what} is {_kind(value)}: a mapping of texts is expected")
    for name, each in value.items():
        if each is None:
            raise ConfigurationError(f"{what}: {name!r} is None: text is expected")


def json_of(value: Any, what: str) -> bytes:
    """Return a value as JSON. Raises PayloadError for a value that has no form in JSON."""
    try:
        text = encode(value)
        _refuse_lost(value)  # not before, as the nesting is bounded now
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"{what} has no form in JSON: {error}") from None
    return text


def _refuse_lost(value: Any) -> None:
    """Raise TypeError for what would arrive as something else: bytes as base64, nan and infinity as null."""
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("bytes are not text: decode them")
    if isinstance(value, float) and not isfinite(value):
        raise TypeError(f"{value} is not a number in JSON")
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return
    for each in value:
        _refuse_lost(each)


def _kind(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"

"""The value of an option from a text or from TOML, or a message that says which value is expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, inspect

from soundpost.config.history_section import history_from, history_from_text
from soundpost.config.options import Option
from soundpost.config.webhooks_section import webhooks_from, webhooks_from_text
from soundpost.core.app_settings import MAX_NUMBER
from soundpost.environment import EMPTY, NULL, truth, unquoted
from soundpost.environment.home_folder import with_home
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.wire.addresses import AddressError, host_of, parse_public_url, path_of
from soundpost.wire.client_address import TrustedProxies
from soundpost.wire.json_text import is_unicode
from soundpost.wire.origins import OriginError, check_origins

_WHOLE_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,20}|auto", re.ASCII)
_ADDRESSES: Final[dict[tuple[str, ...], Callable[[str], str]]] = {
    **dict.fromkeys(
        (
            ("server", "host"),
            ("server", "hostname"),
            ("dashboard", "host"),
            ("dashboard", "hostname"),
            ("metrics", "host"),
            ("backend", "host"),
            ("public", "host"),
        ),
        host_of,
    ),
    **dict.fromkeys((("server", "path"), ("backend", "path"), ("public", "path")), path_of),
    ("server", "public_url"): lambda text: parse_public_url(text).url,
}
"""Options with a host, a path or a URL, and the function that checks it."""
_FILES: Final = {
    ("server", "unix_socket"),
    ("server", "state_dir"),
    ("server", "tls", "certificate"),
    ("server", "tls", "key"),
    ("scaling", "ca_certificate"),
    ("scaling", "certificate"),
    ("scaling", "key"),
}
"""Options with the path of a file or folder."""
_TABLES: Final = {
    ("app", "history"): (history_from, history_from_text),
    ("app", "webhooks"): (webhooks_from, webhooks_from_text),
}
"""Options that are lists of tables, each with the functions that read it from tables and from a variable."""


def from_text(option: Option, text: str, location: str) -> Any:
    """Return the value of an environment variable, read as Laravel does; UNSET for an empty one.

    Outer quotes, which ``docker --env-file`` leaves in place, do not belong to the value. ``null`` and ``(null)`` make
    None of an option that may be None. Commas separate the items of a list. Raises ConfigurationError.
    """
    if not is_unicode(text) and option.keys not in _FILES:
        raise ConfigurationError(f"{location}: the value is not UTF-8 text")
    plain = unquoted(text)
    shape = _without_null(inspect.type_info(option.type))
    word = plain.lower()
    if option.keys == ("app", "allowed_origins") and (not word or word in NULL or word in EMPTY):
        raise ConfigurationError(
            f"{location}={text!r} names nobody: write hosts (example.com,*.example.com), * for everybody, or remove "
            "the variable"
        )
    if word in NULL:
        return None if _may_be_null(option) else UNSET
    if not word:
        return UNSET
    if word in EMPTY:
        if not isinstance(shape, inspect.StrType | inspect.VarTupleType):
            return UNSET
        plain = ""
    if option.keys in _TABLES:
        return _TABLES[option.keys][1](plain, location) if plain else ()
    value: Any = plain
    if isinstance(shape, inspect.VarTupleType):
        value = [item.strip() for item in plain.split(",") if item.strip()]
    elif isinstance(shape, inspect.BoolType):
        found = truth(plain)
        value = plain if found is None else found
    elif isinstance(shape, inspect.IntType) and not _WHOLE_NUMBER.fullmatch(plain):
        raise ConfigurationError(f"{location}={text!r}: expected {expected(option)}")
    return _convert(option, value, location, strict=False, written=text)


def from_toml(option: Option, value: Any, location: str, *, strict: bool = True) -> Any:
    """Return the value of a key in ``soundpost.toml``. Raises ConfigurationError.

    A value that comes from environment variables is text, and read without ``strict``: ``"80"`` is a number then.
    """
    return _convert(option, value, location, strict=strict, written=value)


def _convert(option: Option, value: Any, location: str, *, strict: bool, written: Any) -> Any:
    if option.keys in _TABLES:
        return _TABLES[option.keys][0](value, location, strict=strict)
    if option.keys == ("app", "accept_client_events_from") and value == "all":
        return "all"  # Reverb's value; load() says what becomes of it
    try:
        converted = msgspec.convert(_one_of(option, value), option.type, strict=strict)
    except msgspec.ValidationError:
        shown = "" if option.is_secret else f"={redacted(written)}"
        hint = "; write it in quotes" if strict and _is_number_for_text(option, value) else ""
        raise ConfigurationError(f"{location}{shown}: expected {expected(option)}{hint}") from None
    if option.keys == ("app", "allowed_origins"):
        _check_origins(converted, location)
    if option.keys == ("server", "trusted_proxies"):
        _check_proxies(converted, location)
    if converted and option.keys in _ADDRESSES:
        try:
            return _ADDRESSES[option.keys](converted)
        except AddressError as error:
            raise ConfigurationError(f"{location}={error}") from None
    return with_home(converted, location) if converted and option.keys in _FILES else converted


def _one_of(option: Option, value: Any) -> Any:
    """Return the option's own spelling of a literal that ``value`` has in another case; any other value unchanged."""
    shape = _without_null(inspect.type_info(option.type))
    if not isinstance(shape, inspect.LiteralType) or not isinstance(value, str):
        return value
    return next((known for known in shape.values if str(known).lower() == value.lower()), value)


def _check_origins(origins: tuple[str, ...], location: str) -> None:
    try:
        check_origins(origins)
    except OriginError as error:
        raise ConfigurationError(f"{location}: {error}") from None


def _check_proxies(proxies: tuple[str, ...], location: str) -> None:
    for proxy in proxies:
        try:
            TrustedProxies([proxy])
        except ValueError:
            raise ConfigurationError(
                f"{location}: {proxy!r} is neither an address (10.0.0.1) nor a network (10.0.0.0/8) nor '*'"
            ) from None


def _is_number_for_text(option: Option, value: Any) -> bool:
    return isinstance(value, int | float) and isinstance(inspect.type_info(option.type), inspect.StrType)


def expected(option: Option) -> str:
    """Return in words the kind of value that an option takes: ``a whole number of at least 1``."""
    return _in_words(inspect.type_info(option.type))


def _in_words(shape: inspect.Type) -> str:
    if isinstance(shape, inspect.UnionType):
        kinds = [kind for kind in shape.types if not isinstance(kind, inspect.NoneType)]
        return " or ".join(_in_words(kind) for kind in kinds)
    if isinstance(shape, inspect.Metadata):
        described = (shape.extra_json_schema or {}).get("description")
        return str(described) if described else _in_words(shape.type)
    if isinstance(shape, inspect.IntType):
        if shape.le == MAX_NUMBER:
            return f"a whole number of at least {shape.ge}, below 2^63"
        return "a whole number" if shape.le is None else f"a whole number from {shape.ge} to {shape.le}"
    if isinstance(shape, inspect.BoolType):
        return "true or false"
    if isinstance(shape, inspect.LiteralType):
        return " or ".join(repr(value) for value in shape.values)
    if isinstance(shape, inspect.VarTupleType):
        return f"a list of {_in_words(shape.item_type)}"
    if isinstance(shape, inspect.StrType):
        return "text that is not empty" if shape.min_length else "text"
    return "another kind of value"


def _may_be_null(option: Option) -> bool:
    shape = inspect.type_info(option.type)
    return isinstance(shape, inspect.UnionType) and shape.includes_none


def _without_null(shape: inspect.Type) -> inspect.Type:
    """Return the type without ``None``."""
    if isinstance(shape, inspect.UnionType):
        return next(kind for kind in shape.types if not isinstance(kind, inspect.NoneType))
    return shape

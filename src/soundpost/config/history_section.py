"""The tables ``[[apps.history]]`` of an app, from ``soundpost.toml``, a variable or Python."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from soundpost.core.app_settings import MAX_KEPT_DAYS, MAX_KEPT_EVENTS, AppSettings, HistorySettings
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.suggestions import did_you_mean

_KEYS: Final = tuple(field.name for field in msgspec.structs.fields(HistorySettings))
_OF_THE_APP: Final = frozenset(field.name for field in msgspec.structs.fields(AppSettings))
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGE: Final = re.compile(r"([0-9]{1,9})\s*([smhd]?)")
_ELSEWHERE: Final = {
    "channel": "channels",
    "name": "channels",
    "namespace": "channels",
    "pattern": "channels",
    "patterns": "channels",
    "history_size": "events",
    "limit": "events",
    "max_events": "events",
    "messages": "events",
    "number": "events",
    "size": "events",
    "expiry": "age",
    "history_ttl": "age",
    "lifetime": "age",
    "max_age": "age",
    "seconds": "age",
    "ttl": "age",
}
"""Keys that other servers have for the same, with ours."""
_EXPECTED: Final = {
    "channels": "a list of patterns such as ['private-orders.*']",
    "events": f"a whole number from 1 to {MAX_KEPT_EVENTS:,}",
    "age": f"seconds, or a text such as '30s', '10m', '2h' or '1d', of at most {MAX_KEPT_DAYS} days",
    "rewind": f"a whole number from 0 to {MAX_KEPT_EVENTS:,}",
}


def history_from(tables: Any, place: str, *, strict: bool = True) -> tuple[HistorySettings, ...]:
    """Return the settings in a list of tables. Raises ConfigurationError; ``place`` begins its message.

    Without ``strict`` a number may be a text, as one that comes from an environment variable is.
    """
    if isinstance(tables, HistorySettings | str | bytes | Mapping) or not isinstance(tables, Sequence):
        raise ConfigurationError(f"{place}={redacted(tables)}: {_no_list(tables)}")
    return tuple(_entry(table, f"{place} no. {number}", strict) for number, table in enumerate(tables, start=1))


def history_from_text(text: str, place: str) -> tuple[HistorySettings, ...]:
    """Return the settings in a variable: patterns with commas between them, or a JSON list of tables.

    Raises ConfigurationError.
    """
    if not text.startswith("["):
        patterns = [pattern.strip() for pattern in text.split(",") if pattern.strip()]
        return (_entry({"channels": patterns}, place, strict=True),)
    try:
        tables = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"{place}: not valid JSON: {error}. Write patterns (private-orders.*,news), or a list such as "
            '[{"channels": ["news"], "events": 200}]'
        ) from None
    return history_from(tables, place)


def history_text(history: Sequence[HistorySettings]) -> str:
    """Return the settings as a variable has them."""
    if len(history) == 1 and history[0] == HistorySettings(channels=history[0].channels):
        return ",".join(history[0].channels)
    return msgspec.json.encode(history).decode()


def _no_list(given: Any) -> str:
    if isinstance(given, Mapping):
        return "one table: begin each with [[apps.history]], in two pairs of brackets"
    return "expected a list of tables: begin each with a line [[apps.history]], and channels = ['private-orders.*']"


def _entry(table: Any, place: str, strict: bool) -> HistorySettings:
    if isinstance(table, HistorySettings):  # made in Python, which checks no numbers
        table = msgspec.structs.asdict(table)
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{place}={redacted(table)}: {_no_list(table)}")
    for key in table:
        if key not in _KEYS:
            raise ConfigurationError(f"{place}: unknown key {str(key)!r}{_hint(str(key))}")
    if "channels" not in table:
        raise ConfigurationError(f"{place}: channels is missing: write channels = ['private-orders.*']")
    values = {key: _value(key, value, place, strict) for key, value in table.items()}
    try:
        return HistorySettings(**values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from None


def _value(key: str, value: Any, place: str, strict: bool) -> Any:
    kind = msgspec.structs.fields(HistorySettings)[_KEYS.index(key)].type
    try:
        return msgspec.convert(_seconds(value) if key == "age" else value, kind, strict=strict)
    except (msgspec.ValidationError, ValueError):
        raise ConfigurationError(f"{place}: {key}={redacted(value)}: expected {_EXPECTED[key]}") from None


def _seconds(age: Any) -> Any:
    """Return an age in seconds. Raises ValueError for a text that is none."""
    if not isinstance(age, str):
        return age
    match = _AGE.fullmatch(age.strip().lower())
    if match is None:
        raise ValueError(age)
    return int(match[1]) * _UNITS[match[2]]


def _hint(key: str) -> str:
    name = _ELSEWHERE.get(key.lower().replace("-", "_"))
    if name is not None:
        return f": here that is '{name}'"
    if key in _OF_THE_APP:
        return "; it belongs to [[apps]]: write it above the first [[apps.history]]"
    return did_you_mean(key, _KEYS, otherwise=f"; known are {', '.join(_KEYS)}")

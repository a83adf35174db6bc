"""The tables ``[[apps.history]]`` of an app, from ``soundpost.toml``, a variable or Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from soundpost.config.tables import Tables
from soundpost.core.app_settings import MAX_KEPT_DAYS, MAX_KEPT_EVENTS, HistorySettings

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGE: Final = re.compile(r"([0-9]{1,9})\s*([smhd]?)")


def _read(key: str, value: Any) -> Any:
    """Return a value, an age in seconds. Raises ValueError for a text that is not an age."""
    if key != "age" or not isinstance(value, str):
        return value
    match = _AGE.fullmatch(value.strip().lower())
    if match is None:
        raise ValueError(value)
    return int(match[1]) * _UNITS[match[2]]


_HISTORY: Final = Tables(
    name="history",
    struct=HistorySettings,
    first_line="channels = ['private-orders.*']",
    in_variable='patterns (private-orders.*,news), or a list such as [{"channels": ["news"], "events": 200}]',
    expected={
        "channels": "a list of patterns such as ['private-orders.*']",
        "events": f"a whole number from 1 to {MAX_KEPT_EVENTS:,}",
        "age": f"seconds, or a text such as '30s', '10m', '2h' or '1d', of at most {MAX_KEPT_DAYS} days",
        "rewind": f"a whole number from 0 to {MAX_KEPT_EVENTS:,}",
    },
    elsewhere={
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
    },
    read=_read,
)


def history_from(tables: Any, location: str, *, strict: bool = True) -> tuple[HistorySettings, ...]:
    """Return the settings in a list of tables. Raises ConfigurationError; ``location`` begins its message.

    Without ``strict`` a number may be a text, as one that comes from an environment variable is.
    """
    return _HISTORY.entries(tables, location, strict=strict)


def history_from_text(text: str, location: str) -> tuple[HistorySettings, ...]:
    """Return the settings in a variable: patterns with commas between them, or a JSON list of tables.

    Raises ConfigurationError.
    """
    if text.startswith("["):
        return _HISTORY.entries_of_json(text, location)
    patterns = [pattern.strip() for pattern in text.split(",") if pattern.strip()]
    return (_HISTORY.entry({"channels": patterns}, location),)


def history_text(history: Sequence[HistorySettings]) -> str:
    """Return the settings as a variable has them."""
    if len(history) == 1 and history[0] == HistorySettings(channels=history[0].channels):
        return ",".join(history[0].channels)
    return msgspec.json.encode(history).decode()

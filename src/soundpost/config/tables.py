"""Lists of tables of an app, ``[[apps.history]]`` and ``[[apps.webhooks]]``, from a file, a variable or Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from soundpost.core.app_settings import AppSettings
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.suggestions import did_you_mean

_APP_KEYS = frozenset(field.name for field in msgspec.structs.fields(AppSettings))

Entry = TypeVar("Entry", bound=Struct)


def _unchanged(key: str, value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Tables(Generic[Entry]):
    """One kind of list of tables: how it is read, and what the messages about mistakes in it say."""

    name: str
    """Name of the option: ``history``."""
    struct: type[Entry]
    """Settings of one table."""
    first_line: str
    """The line that every table needs: ``channels = ['private-orders.*']``."""
    in_variable: str
    """Contents that a variable may have, for messages: patterns, or a list in JSON."""
    expected: Mapping[str, str]
    """The kind of value that a key takes, in words."""
    elsewhere: Mapping[str, str]
    """Keys that other servers have for the same, with ours."""
    advice: Mapping[str, str] = field(default_factory=dict)
    """Keys that other servers have for something else, with the way to it: the end of a message."""
    secrets: frozenset[str] = frozenset()
    """Keys whose values are never shown."""
    read: Callable[[str, Any], Any] = _unchanged
    """Function of key and value that returns the value in the form of the settings, or raises ValueError."""

    def entries(self, tables: Any, location: str, *, strict: bool = True) -> tuple[Entry, ...]:
        """Return the settings in a list of tables. Raises ConfigurationError; ``location`` begins its message.

        Without ``strict`` a number may be a text, as one that comes from an environment variable is.
        """
        if isinstance(tables, Struct | str | bytes | Mapping) or not isinstance(tables, Sequence):
            raise ConfigurationError(f"{location}{self._shown(tables)}: {self._no_list(tables)}")
        return tuple(
            self.entry(table, f"{location} no. {number}", strict) for number, table in enumerate(tables, start=1)
        )

    def entries_of_json(self, text: str, location: str) -> tuple[Entry, ...]:
        """Return the settings in a JSON list of tables. Raises ConfigurationError."""
        try:
            tables = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"{location}: not valid JSON: {error}. Write {self.in_variable}") from None
        return self.entries(tables, location)

    def entry(self, table: Any, location: str, strict: bool = True) -> Entry:
        """Return the settings in one table. Raises ConfigurationError."""
        if isinstance(table, self.struct):  # made in Python, which checks no numbers
            table = msgspec.structs.asdict(table)
        if not isinstance(table, Mapping):
            raise ConfigurationError(f"{location}{self._shown(table)}: {self._no_list(table)}")
        for key in table:
            if key not in self.struct.__struct_fields__:
                raise ConfigurationError(f"{location}: unknown key {str(key)!r}{self._hint(str(key))}")
        needed = self.struct.__struct_fields__[0]
        if needed not in table:
            raise ConfigurationError(f"{location}: {needed} is missing: write {self.first_line}")
        values = {key: self._value(key, value, location, strict) for key, value in table.items()}
        try:
            return self.struct(**values)
        except ConfigurationError as error:
            raise ConfigurationError(f"{location}: {error}") from None

    def _value(self, key: str, value: Any, location: str, strict: bool) -> Any:
        kind = next(field.type for field in msgspec.structs.fields(self.struct) if field.name == key)
        try:
            return msgspec.convert(self.read(key, value), kind, strict=strict)
        except (msgspec.ValidationError, ValueError):
            shown = key if key in self.secrets else f"{key}={redacted(value)}"
            raise ConfigurationError(f"{location}: {shown}: expected {self.expected[key]}") from None

    def _shown(self, tables: Any) -> str:
        return "" if self.secrets and not isinstance(tables, bool | int | str) else f"={redacted(tables)}"

    def _no_list(self, given: Any) -> str:
        if isinstance(given, Mapping):
            return f"one table: begin each with [[apps.{self.name}]], in two pairs of brackets"
        return f"expected a list of tables: begin each with a line [[apps.{self.name}]], and {self.first_line}"

    def _hint(self, key: str) -> str:
        plain = key.lower().replace("-", "_")
        if plain in self.elsewhere:
            return f": here that is '{self.elsewhere[plain]}'"
        if plain in self.advice:
            return f": {self.advice[plain]}"
        if key in _APP_KEYS:
            return f"; it belongs to [[apps]]: write it above the first [[apps.{self.name}]]"
        keys = self.struct.__struct_fields__
        return did_you_mean(key, keys, otherwise=f"; known are {', '.join(keys)}")

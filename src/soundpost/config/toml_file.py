"""The file ``soundpost.toml``, with every key and value checked; each message names the location."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from soundpost.config.options import Option, Setting, Values, section
from soundpost.config.other_servers import advice_on_key
from soundpost.config.values import from_toml
from soundpost.environment.interpolation import UnsetVariableError, interpolate
from soundpost.environment.toml_document import read_toml
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.suggestions import did_you_mean

_TABLES: Final = ("server", "scaling", "dashboard", "metrics")
_TITLES: Final = {**{name: f"[{name}]" for name in _TABLES}, "app": "[[apps]]"}
_PARTS_OF_REDIS: Final = (
    "enabled", "url", "host", "port", "database", "db", "username", "user", "password", "tls", "ssl", "scheme"
)  # fmt: skip
_ONE_URL: Final = "Redis has one address: redis = 'redis://user:password@host:6379/0', with TLS rediss://…"


class TomlFile:
    """The contents of a ``soundpost.toml``: ``values`` of [server] and its like, and those of each app in ``apps``."""

    def __init__(self, path: Path, shown: str, lookup: Callable[[str], str | None]) -> None:
        """Read ``path``, called ``shown`` in messages; ``lookup`` returns a variable. Raises ConfigurationError."""
        self.values: Values = {}
        self.apps: list[Values] = []
        self.warnings: list[str] = []
        self._shown = shown
        self._lookup = lookup
        self._holds_secrets = False
        document = read_toml(path, shown)
        for key, value in document.items():
            if key in _TABLES:
                self.values |= self._section(key, value, f"{shown}: [{key}]")
            elif key == "apps":
                self.apps = self._apps(value)
            else:
                raise ConfigurationError(f"{shown}: unknown key '{key}'{_table_hint(key)}")
        self._check_mode(path)

    def _apps(self, value: Any) -> list[Values]:
        if not isinstance(value, list) or not all(isinstance(app, dict) for app in value):
            raise ConfigurationError(
                f"{self._shown}: apps is not a list of tables: write a line [[apps]] above each app"
            )
        return [self._section("app", app, self.app_location(number)) for number, app in enumerate(value)]

    def app_location(self, number: int) -> str:
        """Return the name in messages of the app at index ``number``."""
        return f"{self._shown}: [[apps]] no. {number + 1}"

    def _section(self, name: str, table: Any, location: str) -> Values:
        if not isinstance(table, dict):
            raise ConfigurationError(f"{location}={redacted(table)}: expected a table")
        options = section(name)
        values: Values = {}
        for key, value in _flat(table, options, location):
            option = options.get(key)
            if option is None:
                raise ConfigurationError(f"{location}: unknown key '{key}'{_hint(key, name)}")
            values[option.keys] = Setting(self._value(option, value, f"{location}: {key}"), f"{location}: {key}")
        return values

    def _value(self, option: Option, value: Any, location: str) -> Any:
        try:
            filled = self._filled(value)
        except UnsetVariableError as error:
            raise ConfigurationError(
                f"{location}: ${{{error}}} is used, but the environment variable {error} is not set: "
                f"set it, or give a default as in ${{{error}:-…}}"
            ) from None
        if option.is_secret and filled == value:
            self._holds_secrets = True
        return from_toml(option, filled, location, strict=filled == value)

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return interpolate(value, self._lookup)
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if isinstance(value, dict):
            return {key: self._filled(item) for key, item in value.items()}
        return value

    def _check_mode(self, path: Path) -> None:
        if os.name != "posix" or not self._holds_secrets:
            return
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            self.warnings.append(
                f"{self._shown}: its secrets are open to other users of this machine (mode {mode:o}): "
                f"chmod 600 {self._shown}"
            )


def _flat(
    table: dict[str, Any], options: dict[str, Option], location: str, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Return the values of nested tables by dotted name; a table is opened only if options have names below it."""
    for key, value in table.items():
        name = prefix + key
        inner = any(option.startswith(f"{name}.") for option in options)
        if isinstance(value, dict) and inner:
            yield from _flat(value, options, location, f"{name}.")
        elif inner:
            raise ConfigurationError(f"{location}: {name} is a table: write {name} = {{ … }}")
        else:
            yield name, value


def _table_hint(key: str) -> str:
    if key in ("history", "webhooks"):
        return f"; it belongs to an app: begin it with [[apps.{key}]], below the lines of its [[apps]]"
    advice = advice_on_key(key)
    if advice:
        return f": {advice}"
    *titles, last = _TITLES.values()
    return did_you_mean(key, (*_TABLES, "apps"), otherwise=f"; it has {', '.join(titles)} and {last}")


def _hint(key: str, name: str) -> str:
    if name == "scaling" and key in _PARTS_OF_REDIS:
        return f": {_ONE_URL}"
    if name == "metrics" and key == "enabled":
        return ": there are metrics once 'port' is set"
    for other, title in _TITLES.items():
        if other != name and key in section(other):
            return f"; it belongs to {title}"
    advice = advice_on_key(key)
    if advice:
        return f": {advice}"
    known = list(section(name))
    tables = [option.partition(".")[0] for option in known if "." in option]
    return did_you_mean(key, known + tables, otherwise=f"; known are {', '.join(known)}")

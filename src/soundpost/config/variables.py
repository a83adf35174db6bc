"""Environment variables of the server: ``SOUNDPOST_…`` for every option, and Laravel Reverb's ``REVERB_…``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from msgspec import UNSET

from soundpost.config.options import OPTIONS, Option, Setting, Values
from soundpost.config.other_servers import advice_on_variable
from soundpost.config.values import from_text
from soundpost.environment import (
    APPLICATION,
    BUILD,
    FRAMEWORKS,
    PREFIX,
    PUBLIC,
    REVERB,
    is_service_link,
    is_service_port,
    plain_value,
    truth,
    value_from_file,
)
from soundpost.errors import ConfigurationError
from soundpost.suggestions import nearest

_OPTIONS: Final = {option.variable: option for option in OPTIONS.values()}
_FILES: Final = {f"{option.variable}_FILE": option for option in OPTIONS.values() if option.may_come_from_file}
_REDIS_URL: Final = "SOUNDPOST_REDIS_URL"
_KNOWN: Final = [name.removeprefix(PREFIX) for name in (*_OPTIONS, *_FILES, _REDIS_URL)]
_APPLICATION_VARIABLES: Final = frozenset(
    name + suffix
    for name in (*APPLICATION.values(), *PUBLIC.values(), *FRAMEWORKS)
    if name not in _OPTIONS
    for suffix in ("", "_FILE")
)
"""Variables of applications, which often stand in the server's ``.env`` too: the server leaves them alone."""
_IGNORED_VARIABLES: Final = _APPLICATION_VARIABLES | BUILD
_REDIS: Final = ("URL", "SCHEME", "HOST", "PORT", "USERNAME", "PASSWORD", "DB")


def read_variables(variables: Mapping[str, str], source: str, warnings: list[str]) -> Values:
    """Return the values of a source (``environment``, ``.env``); ``SOUNDPOST_…`` wins over ``REVERB_…``.

    Raises ConfigurationError for a value that does not fit its option, and for an unknown ``SOUNDPOST_SERVER_…`` or
    ``SOUNDPOST_APP_…``. Other unknown ``SOUNDPOST_…`` names become ``warnings``.
    """
    values: Values = {}
    _put(values, OPTIONS["scaling", "redis"], variables.get(_REDIS_URL, ""), f"{source}: {_REDIS_URL}")
    for name, text in variables.items():
        if not name.startswith((PREFIX, "REVERB_")) or _is_left_out(name, text, source, warnings):
            continue
        if name in _OPTIONS:
            _put(values, _OPTIONS[name], text, f"{source}: {name}")
        elif name in _FILES:
            _put_from_file(values, _FILES[name], variables, source)
        elif name.startswith(PREFIX) and name != _REDIS_URL and name not in _IGNORED_VARIABLES:
            _refuse_unknown(name, source, warnings)
    for name, replaced_by in REVERB.items():
        if name not in variables:
            continue
        text = variables[name]
        for option in (_OPTIONS[variable] for variable in replaced_by):
            if option.keys not in values and not is_service_link(name, text):
                _put(values, option, text, f"{source}: {name}")
    _put_scaling(values, variables, source)
    return values


def _put(values: Values, option: Option, text: str, location: str) -> None:
    value: Any = from_text(option, text, location)
    if value is not UNSET:
        values[option.keys] = Setting(value, location)


def _put_from_file(values: Values, option: Option, variables: Mapping[str, str], source: str) -> None:
    text = value_from_file(variables, option.variable, f"{source}: ")
    if text is not None:
        values[option.keys] = Setting(text, f"{source}: {option.variable}_FILE")


def _refuse_unknown(name: str, source: str, warnings: list[str]) -> None:
    advice = advice_on_variable(name)
    near = nearest(name.removeprefix(PREFIX), _KNOWN)
    hint = f": {advice}" if advice else f"; did you mean {PREFIX}{near}?" if near else ""
    if name.startswith(("SOUNDPOST_SERVER_", "SOUNDPOST_APP_")):
        raise ConfigurationError(f"{source}: unknown setting {name}{hint}")
    warnings.append(f"{source}: {name} is not a setting of soundpost and has no effect{hint}")


def _is_left_out(name: str, text: str, source: str, warnings: list[str]) -> bool:
    if is_service_port(name, text):
        warnings.append(
            f"{source}: {name}={text!r} was set by Kubernetes or Docker for a service of that name, and is ignored"
        )
    return is_service_link(name, text)


def _put_scaling(values: Values, variables: Mapping[str, str], source: str) -> None:
    """Add the Redis of a Laravel application (``REDIS_HOST`` …), if Reverb's ``REVERB_SCALING_ENABLED`` is true."""
    if not truth(plain_value(variables, "REVERB_SCALING_ENABLED")):
        return
    option = OPTIONS["scaling", "redis"]
    if option.keys in values:
        return
    plain = {name: plain_value(variables, f"REDIS_{name}") for name in _REDIS}
    given = {name: value for name, value in plain.items() if value}
    if "URL" in given:
        _put(values, option, given["URL"], f"{source}: REDIS_URL")
        return
    login = ""
    if "PASSWORD" in given:
        login = f"{quote(given.get('USERNAME', ''), safe='')}:{quote(given['PASSWORD'], safe='')}@"
    host, port = given.get("HOST", "127.0.0.1"), given.get("PORT", "6379")
    scheme = "rediss" if host.startswith("tls://") or given.get("SCHEME") == "tls" else "redis"
    host = host.removeprefix("tls://").removeprefix("tcp://")
    if host.startswith("/"):
        url = f"unix://{login}{host}?db={given.get('DB', '0')}"
    else:
        url = f"{scheme}://{login}{host}:{port}/{given.get('DB', '0')}"
    _put(values, option, url, f"{source}: REVERB_SCALING_ENABLED with REDIS_HOST")

"""Environment variables: ``SOUNDPOST_…`` for every option, ``REVERB_…`` as a Laravel project has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import quote

from msgspec import UNSET

from soundpost.config.options import OPTIONS, Keys, Option, Setting, Values
from soundpost.config.values import from_text
from soundpost.environment import TRUE, is_service_link, is_service_port, plain_value, value_from_file
from soundpost.errors import ConfigurationError

REVERB: Final[dict[str, tuple[Keys, ...]]] = {
    "REVERB_APP_ID": (("app", "id"),),
    "REVERB_APP_KEY": (("app", "key"),),
    "REVERB_APP_SECRET": (("app", "secret"),),
    "REVERB_SERVER_HOST": (("server", "host"),),
    "REVERB_SERVER_PORT": (("server", "port"),),
    "REVERB_SERVER_PATH": (("server", "path"),),
    "REVERB_HOST": (("server", "hostname"), ("public", "host")),
    "REVERB_PORT": (("public", "port"),),
    "REVERB_SCHEME": (("public", "scheme"),),
    "REVERB_MAX_REQUEST_SIZE": (("server", "max_request_size"),),
    "REVERB_ALLOWED_ORIGINS": (("app", "allowed_origins"),),
    "REVERB_APP_MAX_MESSAGE_SIZE": (("app", "max_message_size"),),
    "REVERB_APP_PING_INTERVAL": (("app", "ping_interval"),),
    "REVERB_APP_ACTIVITY_TIMEOUT": (("app", "activity_timeout"),),
    "REVERB_APP_MAX_CONNECTIONS": (("app", "max_connections"),),
    "REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM": (("app", "accept_client_events_from"),),
    "REVERB_APP_RATE_LIMITING_ENABLED": (("app", "rate_limiting", "enabled"),),
    "REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS": (("app", "rate_limiting", "max_attempts"),),
    "REVERB_APP_RATE_LIMIT_DECAY_SECONDS": (("app", "rate_limiting", "decay_seconds"),),
    "REVERB_APP_RATE_LIMIT_TERMINATE": (("app", "rate_limiting", "terminate_on_limit"),),
}
"""What Laravel Reverb's variables set here."""

_OURS: Final = {option.variable: option for option in OPTIONS.values()}
_FILES: Final = {f"{option.variable}_FILE": option for option in OPTIONS.values() if option.may_come_from_file}
_KNOWN: Final = [*_OURS, *_FILES, "SOUNDPOST_REDIS_URL"]
_OF_APPLICATIONS: Final = re.compile(
    r"SOUNDPOST_(URL|PUBLIC_(HOST|PORT|SCHEME|PATH)|ENCRYPTION_MASTER_KEY|BROADCAST_DRIVER|DELIVER|ON_ERROR"
    r"|TRUSTED_ORIGINS)(_FILE)?"
)
"""What broadcasting reads, often from the same ``.env``: see :mod:`soundpost.broadcasting.settings`."""
_REDIS: Final = ("URL", "SCHEME", "HOST", "PORT", "USERNAME", "PASSWORD", "DB")
_PREFIX: Final = "SOUNDPOST_"


def read_variables(variables: Mapping[str, str], source: str, warnings: list[str]) -> Values:
    """What the variables of one source (``environment``, ``.env``) say; ours win over Reverb's.

    Raises ConfigurationError for a value that does not fit its option and for an unknown ``SOUNDPOST_SERVER_…`` or
    ``SOUNDPOST_APP_…``; other unknown ``SOUNDPOST_…`` names are told in ``warnings``.
    """
    values: Values = {}
    _put(
        values, OPTIONS["scaling", "redis"], variables.get("SOUNDPOST_REDIS_URL", ""), f"{source}: SOUNDPOST_REDIS_URL"
    )
    for name, text in variables.items():
        if not name.startswith(("SOUNDPOST_", "REVERB_")) or _is_left_out(name, text, source, warnings):
            continue
        if name == "SOUNDPOST_REDIS_URL" or _OF_APPLICATIONS.fullmatch(name):
            continue
        if name in _OURS:
            _put(values, _OURS[name], text, f"{source}: {name}")
        elif name in _FILES:
            _put_from_file(values, _FILES[name], variables, source)
        elif name.startswith("SOUNDPOST_"):
            _refuse_unknown(name, source, warnings)
    for name, targets in REVERB.items():
        if name not in variables:
            continue
        text = variables[name]
        for keys in targets:
            if keys not in values and not is_service_link(name, text):
                _put(values, OPTIONS[keys], text, f"{source}: {name}")
    _put_scaling(values, variables, source)
    return values


def _put(values: Values, option: Option, text: str, place: str) -> None:
    value: Any = from_text(option, text, place)
    if value is not UNSET:
        values[option.keys] = Setting(value, place)


def _put_from_file(values: Values, option: Option, variables: Mapping[str, str], source: str) -> None:
    text = value_from_file(variables, option.variable, f"{source}: ")
    if text is not None:
        values[option.keys] = Setting(text, f"{source}: {option.variable}_FILE")


def _refuse_unknown(name: str, source: str, warnings: list[str]) -> None:
    near = get_close_matches(name[len(_PREFIX) :], [known[len(_PREFIX) :] for known in _KNOWN], n=1)
    hint = f"; did you mean {_PREFIX}{near[0]}?" if near else ""
    if name.startswith(("SOUNDPOST_SERVER_", "SOUNDPOST_APP_")):
        raise ConfigurationError(f"{source}: unknown setting {name}{hint}")
    warnings.append(f"{source}: {name} is no setting of soundpost and has no effect{hint}")


def _is_left_out(name: str, text: str, source: str, warnings: list[str]) -> bool:
    if is_service_port(name, text):
        warnings.append(
            f"{source}: {name}={text!r} was set by Kubernetes or Docker for a service of that name; it is left out"
        )
    return is_service_link(name, text)


def _put_scaling(values: Values, variables: Mapping[str, str], source: str) -> None:
    """Reverb's: scaling has a switch, and Redis is where the rest of a Laravel application has it."""
    if plain_value(variables, "REVERB_SCALING_ENABLED").lower() not in TRUE:
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

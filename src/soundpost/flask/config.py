"""Settings from ``app.config["SOUNDPOST_…"]``; what it does not say, from the environment. Also for Quart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from soundpost.broadcasting.settings import (
    BroadcastSettings,
    ConnectionSettings,
    settings_from,
    values_from_environment,
)
from soundpost.errors import ConfigurationError

URL_PREFIX: Final = "SOUNDPOST_URL_PREFIX"
"""Where the auth routes are: ``/broadcasting``, which is what laravel-echo asks unless told otherwise."""
_PREFIX: Final = "SOUNDPOST_"
_OTHER_NAMES: Final = {"app_key": "key", "app_secret": "secret", "broadcast_driver": "driver"}
_OF_THE_SERVER: Final = ("server_", "scaling_", "redis_", "app_")
"""The server's own variables: no mistake where all of the environment was copied into the configuration."""
_ADDRESS: Final = ("url", "app_id", "key", "secret", "host", "port", "scheme", "path")
_CONNECTION: Final = ("url", *(each.name for each in fields(ConnectionSettings)))


def settings_of(config: Mapping[str, Any]) -> BroadcastSettings:
    """An application's settings. Raises ConfigurationError for what is unknown, wrong, or half there."""
    given, public = _given(config)
    outside = values_from_environment()
    public = {**outside.pop("public"), **given.pop("public", {}), **public}
    if "connections" in given or "url" in given:  # then the environment means another server
        ours = _CONNECTION if "connections" in given else _ADDRESS
        outside = {name: value for name, value in outside.items() if name not in ours}
    given = {**outside, **given, "public": public}
    if not any(name in given for name in ("connections", *_CONNECTION)):
        given["connections"] = {}
    settings = settings_from(given, 'app.config["SOUNDPOST_…"]')
    for name, connection in settings.connections.items():
        _check_complete(name, connection)
    return settings


def _given(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the configuration says, by names of settings; and what it says of the public address."""
    given: dict[str, Any] = {}
    public: dict[str, Any] = {}
    for variable, value in config.items():
        if not variable.startswith(_PREFIX) or variable == URL_PREFIX or value is None:
            continue
        name = variable.removeprefix(_PREFIX).lower()
        name = _OTHER_NAMES.get(name, name)
        if name.startswith("public_"):
            public[name.removeprefix("public_")] = value
        elif name == "app_id" or not name.startswith(_OF_THE_SERVER):
            given[name] = value
    return given, public


def _check_complete(name: str, connection: ConnectionSettings) -> None:
    missing = connection.what_is_missing(name)
    if missing is not None:
        raise ConfigurationError(f"{missing} in app.config or in the environment (soundpost init prints them)")

"""Settings from ``app.config["SOUNDPOST_…"]``, completed from the environment; for Flask and Quart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from soundpost.broadcasting.settings import (
    NAMES_IN_VARIABLES,
    BroadcastSettings,
    ConnectionSettings,
    settings_over_environment,
)
from soundpost.environment import PREFIX
from soundpost.errors import ConfigurationError

URL_PREFIX: Final = "SOUNDPOST_URL_PREFIX"
"""The setting for the path of the auth routes; ``/broadcasting``, which laravel-echo asks by default, if unset."""
_SERVER_SECTIONS: Final = (
    "server_",
    "scaling_",
    "redis_",
    "app_",
    "dashboard_",
    "metrics_",
    "log_format",
    "log_level",
    "access_log",
)
"""Beginnings of the server's own variables: no mistake where all of the environment was copied into the config."""


def settings_of(config: Mapping[str, Any]) -> BroadcastSettings:
    """Return an application's settings. Raises ConfigurationError for an unknown, wrong or incomplete one."""
    given, public = _given(config)
    public = {**given.pop("public", {}), **public}
    settings = settings_over_environment(given, public, 'app.config["SOUNDPOST_…"]')
    for name, connection in settings.connections.items():
        _check_complete(name, connection)
    return settings


def _given(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings in the configuration by their names, and those of the public address."""
    given: dict[str, Any] = {}
    public: dict[str, Any] = {}
    for variable, value in config.items():
        if not variable.startswith(PREFIX) or variable == URL_PREFIX or value is None:
            continue
        name = variable.removeprefix(PREFIX).lower()
        name = NAMES_IN_VARIABLES.get(name, name)
        if name.startswith("public_"):
            public[name.removeprefix("public_")] = value
        elif name == "app_id" or not name.startswith(_SERVER_SECTIONS):
            given[name] = value
    return given, public


def _check_complete(name: str, connection: ConnectionSettings) -> None:
    missing = connection.missing_in_words(name)
    if missing is not None:
        raise ConfigurationError(
            f"{missing} in app.config or in the environment, or call soundpost init, which writes a soundpost.toml"
        )

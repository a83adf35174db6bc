"""Settings of an application from environment variables, alone or below the settings of a web framework."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from soundpost.broadcasting.settings.classes import CREDENTIALS, BroadcastSettings, ConnectionSettings
from soundpost.broadcasting.settings.from_mapping import LIMITS, public_settings, settings_from
from soundpost.environment import APPLICATION, PREFIX, PUBLIC, names_of, value_of

NAMES_IN_VARIABLES: Final = {
    variable.removeprefix(PREFIX).lower(): name for name, variable in APPLICATION.items() if name not in LIMITS
}
"""Settings by their names in variables, in lower case: ``app_key`` is ``key``."""
_CONNECTION: Final = ("url", *(each.name for each in fields(ConnectionSettings)))
_ADDRESS: Final = ("url", "app_id", "key", "secret", "host", "port", "scheme", "path")


def settings_from_environment(environ: Mapping[str, str] | None = None) -> BroadcastSettings:
    """Return settings from ``SOUNDPOST_…``, and from Laravel's ``REVERB_…`` where ``SOUNDPOST_…`` is not set.

    The variables are ``SOUNDPOST_URL`` (``http://key:secret@host:8080/apps/id``), or ``SOUNDPOST_APP_ID``,
    ``_APP_KEY``, ``_APP_SECRET``, ``_HOST``, ``_PORT``, ``_SCHEME``, ``_PATH``; for browsers
    ``SOUNDPOST_PUBLIC_HOST``, ``_PUBLIC_PORT``, ``_PUBLIC_SCHEME``, ``_PUBLIC_PATH``; and
    ``SOUNDPOST_BROADCAST_DRIVER``, ``_DELIVER``, ``_ON_ERROR``, ``_TRUSTED_ORIGINS``, ``_ENCRYPTION_MASTER_KEY``.
    Without any of them there is no connection. Raises ConfigurationError.
    """
    given = _values(os.environ if environ is None else environ)
    if len(given) == 1:
        return BroadcastSettings(public=public_settings(given["public"], "environment"))
    return settings_from(given, "environment")


def settings_over_environment(
    given: Mapping[str, Any],
    public: Mapping[str, Any],
    place: str,
    *,
    defaults: Mapping[str, Any] | None = None,
) -> BroadcastSettings:
    """Return settings from a framework's configuration, completed from the environment, then from ``defaults``.

    Where ``given`` names another server, by ``url`` or ``connections``, the environment's server is left out. Raises
    ConfigurationError, which begins with ``place``.
    """
    outside = _values(os.environ)
    public = {**outside.pop("public"), **public}
    if "connections" in given or "url" in given:
        replaced = _CONNECTION if "connections" in given else _ADDRESS
        outside = {name: value for name, value in outside.items() if name not in replaced}
    settings = {**(defaults or {}), **outside, **given, "public": public}
    if not any(name in settings for name in ("connections", *_CONNECTION)):
        settings["connections"] = {}
    return settings_from(settings, place)


def _values(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the variables in the form for :func:`settings_from`, always with ``public``."""
    found = {name: value_of(environ, *names_of(variable)) for name, variable in APPLICATION.items()}
    given: dict[str, Any] = {name: value for name, value in found.items() if value}
    if not any(name in given for name in ("url", *CREDENTIALS)):  # the limits are of another app, the server's
        given = {name: value for name, value in given.items() if name not in LIMITS}
    public = {name: value_of(environ, variable) for name, variable in PUBLIC.items()}
    return {**given, "public": {name: value for name, value in public.items() if value}}

"""``settings.SOUNDPOST``: a dictionary, an address (``http://KEY:SECRET@HOST:PORT/apps/ID``), or nothing.

The environment (``SOUNDPOST_APP_ID`` …) completes the settings, then ``.env``, then ``soundpost.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from soundpost.broadcasting.settings import (
    NAMES_IN_VARIABLES,
    BroadcastSettings,
    ConnectionSettings,
    settings_over_environment,
)
from soundpost.django.test_runner import credentials_of_tests
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.suggestions import nearest
from soundpost.wire.origins import OriginError, check_origins

WHERE: Final = "settings.SOUNDPOST"
"""The place of the settings in messages."""


@dataclass(frozen=True, slots=True)
class OwnSettings:
    """Settings that only the Django integration has."""

    channels_module: str = "channels"
    """Name of the module with channel routes in each Django app."""
    webhooks_module: str = "webhooks"
    """Name of the module with handlers of webhooks in each Django app."""
    auth_path: str | None = None
    """Path of the auth endpoints, such as ``/broadcasting/``, if no URLconf has :mod:`soundpost.django.urls`."""
    database: str = "default"
    """Alias of the database whose transactions events wait for by default."""


_OWN: Final = tuple(each.name for each in fields(OwnSettings))


def own_settings() -> OwnSettings:
    """Return the settings that only the Django integration has. Raises ConfigurationError."""
    given = {name: value for name, value in _given().items() if name in _OWN}
    for name, value in given.items():
        if not isinstance(value, str) and not (name == "auth_path" and value is None):
            raise ConfigurationError(f"{WHERE}: {name.upper()!r}: {redacted(value)} should be a text")
    own = OwnSettings(**given)
    if own.database not in settings.DATABASES and own.database != "default":
        raise ConfigurationError(f"{WHERE}: 'DATABASE': {own.database!r} is not in settings.DATABASES")
    return own


def broadcast_settings() -> BroadcastSettings:
    """Return the settings that all frameworks share. Raises ConfigurationError."""
    given = {name: value for name, value in _given().items() if name not in _OWN}
    _check_names(given)
    public = given.pop("public", None) or {}
    if not isinstance(public, Mapping):
        raise ConfigurationError(f"{WHERE}: 'PUBLIC': {redacted(public)} should be a dictionary")
    public = {str(name).lower(): value for name, value in public.items()}
    useless = useless_origins()
    defaults = {
        "debug": settings.DEBUG,
        "trusted_origins": [each for each in settings.CSRF_TRUSTED_ORIGINS if each not in useless],
    }
    found = settings_over_environment(given, public, WHERE, defaults=defaults, directory=project_folder())
    of_tests = credentials_of_tests(found)
    if not of_tests:
        return found
    return settings_over_environment(
        {**given, **of_tests}, public, WHERE, defaults=defaults, directory=project_folder()
    )


def project_folder() -> Path | None:
    """Return ``settings.BASE_DIR``, where ``startproject`` puts ``manage.py``; None if the project has no such setting.

    ``.env`` and ``soundpost.toml`` are looked for there, whatever the working directory of a web server is.
    """
    folder = getattr(settings, "BASE_DIR", None)
    return Path(folder) if isinstance(folder, str | PathLike) else None


def useless_origins() -> dict[str, str]:
    """Return the entries of ``CSRF_TRUSTED_ORIGINS`` that no page's origin can match, each with the reason."""
    found = {}
    for each in settings.CSRF_TRUSTED_ORIGINS:
        try:
            check_origins([each])
        except OriginError as error:
            found[each] = str(error)
    return found


def _given() -> dict[str, Any]:
    found: Any = getattr(settings, "SOUNDPOST", None) or {}
    if isinstance(found, str):
        return {"url": found}
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"{WHERE}: {redacted(found)} should be a dictionary, or the address of a server")
    lower = {str(name).lower(): value for name, value in found.items()}
    return {NAMES_IN_VARIABLES.get(name, name): value for name, value in lower.items()}


def _check_names(given: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for an unknown name; the message has names in upper case, as the settings do."""
    known = {
        "url",
        "public_url",
        *_OWN,
        *(each.name for kind in (ConnectionSettings, BroadcastSettings) for each in fields(kind)),
    }
    for name in given:
        if name not in known:
            near = nearest(name, known)
            hint = f"; did you mean {near.upper()!r}?" if near else ""
            raise ConfigurationError(f"{WHERE}: {name.upper()!r} is not a setting{hint}")

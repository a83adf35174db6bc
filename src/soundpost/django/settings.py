"""``settings.SOUNDPOST``: a dictionary, an address (``http://KEY:SECRET@HOST:PORT/apps/ID``), or nothing at all.

What it does not say is taken from the environment (``SOUNDPOST_APP_ID`` …).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Final

from django.conf import settings

from soundpost.broadcasting.settings import (
    BroadcastSettings,
    ConnectionSettings,
    settings_from,
    values_from_environment,
)
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.wire.origins import OriginError, check_origins

WHERE: Final = "settings.SOUNDPOST"
_ADDRESS: Final = ("url", "app_id", "key", "secret", "host", "port", "scheme", "path")
_OTHER_NAMES: Final = {"app_key": "key", "app_secret": "secret", "broadcast_driver": "driver"}
"""As the environment has them."""
_CONNECTION: Final = ("url", *(each.name for each in fields(ConnectionSettings)))


@dataclass(frozen=True, slots=True)
class OwnSettings:
    """What is of Django only."""

    channels_module: str = "channels"
    """The module of each app that has its channel routes."""
    auth_path: str | None = None
    """Where the auth endpoints are, where :mod:`soundpost.django.urls` is in no URLconf: ``/broadcasting/``."""
    database: str = "default"
    """The database whose transactions events wait for, where nothing else is said."""


_OWN: Final = tuple(each.name for each in fields(OwnSettings))


def own_settings() -> OwnSettings:
    """What is of Django only. Raises ConfigurationError."""
    given = {name: value for name, value in _given().items() if name in _OWN}
    for name, value in given.items():
        if not isinstance(value, str) and not (name == "auth_path" and value is None):
            raise ConfigurationError(f"{WHERE}: {name.upper()!r}: {redacted(value)} should be a text")
    own = OwnSettings(**given)
    if own.database not in settings.DATABASES and own.database != "default":
        raise ConfigurationError(f"{WHERE}: 'DATABASE': {own.database!r} is not in settings.DATABASES")
    return own


def broadcast_settings() -> BroadcastSettings:
    """The core's. Raises ConfigurationError."""
    given = {name: value for name, value in _given().items() if name not in _OWN}
    _check_names(given)
    outside = values_from_environment()
    public = given.pop("public", None) or {}
    if not isinstance(public, Mapping):
        raise ConfigurationError(f"{WHERE}: 'PUBLIC': {redacted(public)} should be a dictionary")
    public = {**outside.pop("public"), **{str(name).lower(): value for name, value in public.items()}}
    if "connections" in given or "url" in given:  # then the environment means another server
        ours = _CONNECTION if "connections" in given else _ADDRESS
        outside = {name: value for name, value in outside.items() if name not in ours}
    given = {
        "debug": settings.DEBUG,
        "trusted_origins": [each for each in settings.CSRF_TRUSTED_ORIGINS if each not in useless_origins()],
        **outside,
        **given,
        "public": public,
    }
    if not any(name in given for name in ("connections", *_CONNECTION)):
        given["connections"] = {}
    return settings_from(given, WHERE)


def useless_origins() -> dict[str, str]:
    """What is in ``CSRF_TRUSTED_ORIGINS`` and no page's origin can match, and why: that setting is Django's own."""
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
    return {_OTHER_NAMES.get(name, name): value for name, value in lower.items()}


def _check_names(given: Mapping[str, Any]) -> None:
    """Refuse what the core would refuse too, with names as they are written here."""
    known = {*_CONNECTION, *_OWN, *(each.name for each in fields(BroadcastSettings))}
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0].upper()!r}?" if near else ""
            raise ConfigurationError(f"{WHERE}: {name.upper()!r} is no setting{hint}")

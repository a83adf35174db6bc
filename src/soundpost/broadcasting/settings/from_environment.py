"""Settings of an application from outside its code, alone or below the settings of a web framework.

Values come from the environment, then from ``.env``, then from ``soundpost.toml``: the server's sources, in its order.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from soundpost.broadcasting.settings.classes import CREDENTIALS, BroadcastSettings, ConnectionSettings
from soundpost.broadcasting.settings.from_files import Lookup, app_in, ids_in, lacks_credentials, server_in
from soundpost.broadcasting.settings.from_mapping import LIMITS, public_settings, settings_from
from soundpost.environment import APPLICATION, PREFIX, PUBLIC, names_of, value_of
from soundpost.environment.app_url import parse_app_url
from soundpost.environment.dotenv_file import read_dotenv
from soundpost.environment.toml_document import FILE_NAME, is_file, no_such_app, read_toml
from soundpost.errors import ConfigurationError
from soundpost.wire.addresses import AddressError

log = logging.getLogger("soundpost.broadcast")

NAMES_IN_VARIABLES: Final = {
    variable.removeprefix(PREFIX).lower(): name for name, variable in APPLICATION.items() if name not in LIMITS
}
"""Settings by their names in variables, in lower case: ``app_key`` is ``key``."""
_CONNECTION: Final = ("url", *(each.name for each in fields(ConnectionSettings)))
_ADDRESS: Final = ("url", "app_id", "key", "secret", "host", "port", "scheme", "path")
_ENVIRONMENT: Final = "environment"


def settings_from_environment(environ: Mapping[str, str] | None = None) -> BroadcastSettings:
    """Return settings from ``SOUNDPOST_…``, and from Laravel's ``REVERB_…`` where ``SOUNDPOST_…`` is not set.

    The variables are ``SOUNDPOST_URL`` (``http://key:secret@host:8080/apps/id``), or ``SOUNDPOST_APP_ID``,
    ``_APP_KEY``, ``_APP_SECRET``, ``_HOST``, ``_PORT``, ``_SCHEME``, ``_PATH``; for browsers ``SOUNDPOST_PUBLIC_URL``,
    or ``_PUBLIC_HOST``, ``_PUBLIC_PORT``, ``_PUBLIC_SCHEME``, ``_PUBLIC_PATH``; and ``SOUNDPOST_BROADCAST_DRIVER``,
    ``_DELIVER``, ``_ON_ERROR``, ``_TRUSTED_ORIGINS``, ``_ENCRYPTION_MASTER_KEY``. Without ``environ`` they are read
    from the environment, then from ``.env``, and then the working directory's ``soundpost.toml`` is read. Without any
    of them there is no connection. Raises ConfigurationError.
    """
    if environ is None:
        given, place = _completed({"public": {}}, Path())
    else:
        given, place = _values(environ, _ENVIRONMENT), _ENVIRONMENT
    if given.keys() == {"public"}:
        return BroadcastSettings(public=public_settings(given["public"], place))
    return settings_from(given, place)


def settings_over_environment(
    given: Mapping[str, Any],
    public: Mapping[str, Any],
    place: str,
    *,
    defaults: Mapping[str, Any] | None = None,
    directory: Path | None = None,
) -> BroadcastSettings:
    """Return settings from a framework's configuration, completed from outside, then from ``defaults``.

    Outside are the environment, and ``.env`` and ``soundpost.toml`` in ``directory``, by default the working
    directory. Where ``given`` names another server, by ``url`` or ``connections``, the server outside is left out.
    Raises ConfigurationError, which begins with ``place``.
    """
    given = dict(given)
    url = given.pop("public_url", None)
    given["public"] = public if url is None else {"url": url, **public}
    completed, sources = _completed(given, directory or Path())
    settings = {**(defaults or {}), **completed}
    if not any(name in settings for name in ("connections", *_CONNECTION)):
        settings["connections"] = {}
    return settings_from(settings, place if sources == _ENVIRONMENT else f"{place}, completed from {sources}")


def _completed(given: Mapping[str, Any], directory: Path) -> tuple[dict[str, Any], str]:
    """Return ``given`` with the values from outside that it lacks, and their sources for messages."""
    environ = os.environ
    values = _over(given, _values(environ, _ENVIRONMENT))
    lower: dict[str, dict[str, Any]] = {}
    dotenv: dict[str, str] = {}
    faults: list[str] = []
    if is_file(directory / ".env"):
        dotenv = read_dotenv(directory / ".env", environ, faults)
        lower[".env"] = _values(dotenv, ".env")
        values = _over(values, lower[".env"])
    if "connections" not in given:
        lower[FILE_NAME] = _values_of_server(directory / FILE_NAME, environ, dotenv, values)
        values = _over(values, lower[FILE_NAME])
    if faults and "connections" not in values and "driver" not in values and lacks_credentials(values):
        log.warning("no credentials were found, perhaps because of this: %s", "; ".join(faults[:3]))
    return values, " and ".join([_ENVIRONMENT, *(place for place, found in lower.items() if found != {"public": {}})])


def _values_of_server(
    path: Path, environ: Mapping[str, str], dotenv: Mapping[str, str], higher: Mapping[str, Any]
) -> dict[str, Any]:
    """Return values from the server's own settings, for an application that ``higher`` sources configure in part.

    The server's settings are a ``soundpost.toml`` at ``path``, and the variables of ``[server]``. Raises
    ConfigurationError if the file cannot be read, but is needed.
    """
    lookup: Lookup = {**dotenv, **environ}.get
    document = _document(path, is_needed=lacks_credentials(higher))
    app_id = _app_id_in(higher)
    app = app_in(document, lookup, app_id)
    if app is None and lacks_credentials(higher):
        raise ConfigurationError(no_such_app(app_id or "", ids_in(document, lookup)))
    found = server_in(document, lookup, (environ, dotenv))
    url = found.pop("public_url", None)
    if not any(name in values for values in (higher, app or {}) for name in ("url", *CREDENTIALS)):
        found = {}  # the address of a server that makes its own credentials at each start
    if higher.get("scheme") == "https" and found.get("scheme") != "https":
        found.pop("port", None)  # the server's own port, but a proxy has the certificate
    return {**(app or {}), **found, "public": {"url": url} if url else {}}


def _document(path: Path, *, is_needed: bool) -> dict[str, Any]:
    if not is_file(path):
        return {}
    try:
        return read_toml(path, path.name)
    except ConfigurationError as error:
        if is_needed:
            raise
        log.debug("%s; it is not needed, as other sources have credentials", error)
        return {}


def _app_id_in(values: Mapping[str, Any]) -> str | None:
    """Return the id of the app that values name, also in a URL; None if they name none."""
    if "url" not in values:
        return str(values["app_id"]) if values.get("app_id") else None
    try:
        parts = parse_app_url(values["url"])
    except (AddressError, AttributeError):  # settings_from() says what is wrong
        return None
    return None if parts is None else parts.app_id


def _over(higher: Mapping[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of two sources, of which ``higher`` wins; a URL is not mixed with parts of another source."""
    left_out: tuple[str, ...] = ()
    if "connections" in higher:
        left_out = _CONNECTION
    elif "url" in higher:
        left_out = _ADDRESS
    elif any(name in higher for name in CREDENTIALS):
        left_out = ("url",)
    below = {name: value for name, value in lower.items() if name not in left_out}
    public = {} if higher["public"].get("url") else lower["public"]
    return {**below, **higher, "public": {**public, **higher["public"]}}


def _values(environ: Mapping[str, str], source: str) -> dict[str, Any]:
    """Return the values of the variables in the form for :func:`settings_from`, always with ``public``."""
    place = f"{source}: "
    found = {name: value_of(environ, *names_of(variable), place=place) for name, variable in APPLICATION.items()}
    given: dict[str, Any] = {name: value for name, value in found.items() if value}
    if not any(name in given for name in ("url", *CREDENTIALS)):  # the limits are of another app, the server's
        given = {name: value for name, value in given.items() if name not in LIMITS}
    public = {name: value_of(environ, variable, place=place) for name, variable in PUBLIC.items()}
    return {**given, "public": {name: value for name, value in public.items() if value}}

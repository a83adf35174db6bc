"""Values of an application's settings in the files that the server reads too: ``.env`` and ``soundpost.toml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from soundpost.broadcasting.settings.classes import CREDENTIALS
from soundpost.broadcasting.settings.from_mapping import LIMITS
from soundpost.defaults import DEFAULT_PORT
from soundpost.environment.interpolation import UnsetVariableError, interpolate
from soundpost.environment.toml_document import read_toml
from soundpost.wire.addresses import AddressError, certificate_host, port_of, reachable_host

_APP: Final = {"app_id": "id", "key": "key", "secret": "secret"}
"""Credentials by their names in an application's settings, with their keys in ``[[apps]]``."""


def values_in_toml(path: Path, lookup: Callable[[str], str | None], app_id: str | None) -> dict[str, Any]:
    """Return the values of a ``soundpost.toml`` that an application needs, in the form for ``settings_from``.

    They are the credentials and limits of the app with ``app_id``, by default of the first app, the address at which
    this machine reaches the server, and ``public_url``. The rest is the server's, and not even checked. A first app
    without an id is the one with ``app_id``, as for the server. The result is empty if the file has other apps only: it
    is for another server. ``lookup`` returns the variable of a ``${NAME}``; a value with an unset variable is left out.
    Raises ConfigurationError for a file that cannot be read.
    """
    document = read_toml(path, path.name)
    server, apps = document.get("server"), document.get("apps")
    tables = [each for each in apps if isinstance(each, dict)] if isinstance(apps, list) else []
    filled = [_filled(each, lookup) for each in tables] or [{}]
    first = filled[0] if app_id is None or "id" not in filled[0] else None
    app = first if app_id is None else next((each for each in filled if each.get("id") == app_id), first)
    if app is None:
        return {}
    found = {name: app[key] for name, key in _APP.items() if key in app}
    found |= {name: app[name] for name in LIMITS if name in app}
    if isinstance(server, dict):
        found |= _address(_filled(server, lookup))
    return found


def lacks_credentials(values: Mapping[str, Any]) -> bool:
    """Tell whether values neither name a server by ``url`` nor have all credentials of an app."""
    return "url" not in values and not all(values.get(name) for name in CREDENTIALS)


def _filled(table: Mapping[str, Any], lookup: Callable[[str], str | None]) -> dict[str, Any]:
    filled = {}
    for key, value in table.items():
        try:
            filled[key] = interpolate(value, lookup) if isinstance(value, str) else value
        except UnsetVariableError:
            continue
    return filled


def _address(server: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: server[name] for name in ("port", "path") if server.get(name)}
    host = server.get("host")
    if isinstance(host, str):
        found["host"] = reachable_host(host)
    tls = server.get("tls")
    if isinstance(tls, dict) and tls.get("certificate"):
        found = {"port": DEFAULT_PORT, **found, "scheme": "https"}
        with suppress(AddressError):  # settings_from() says what is wrong
            name = certificate_host(server.get("hostname"), server.get("public_url"), port_of(found["port"]))
            found |= {"host": name} if name else {}  # a certificate is for a name, not for 127.0.0.1
    if server.get("public_url"):
        found["public_url"] = server["public_url"]
    return found

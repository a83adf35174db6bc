"""Values of an application's settings in the files that the server reads too: ``.env`` and ``soundpost.toml``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from soundpost.broadcasting.settings.classes import CREDENTIALS
from soundpost.broadcasting.settings.from_mapping import LIMITS
from soundpost.defaults import DEFAULT_PORT
from soundpost.environment import names_of, plain_value
from soundpost.environment.interpolation import UnsetVariableError, interpolate
from soundpost.wire.addresses import AddressError, certificate_host, port_of, reachable_host

Lookup = Callable[[str], str | None]
"""Function that returns the value of a variable; None for one that is not set."""
_APP: Final = {"app_id": "id", "key": "key", "secret": "secret"}
"""Credentials by their names in an application's settings, with their keys in ``[[apps]]``."""


def app_in(document: Mapping[str, Any], lookup: Lookup, app_id: str | None) -> dict[str, Any] | None:
    """Return credentials and limits of the app with ``app_id`` in a ``soundpost.toml``, by default of the first app.

    A first app without an id is the one with ``app_id``, as for the server. None: the file has other apps only.
    ``lookup`` returns the variable of a ``${NAME}``; a value with an unset variable is left out.
    """
    filled = _apps(document, lookup) or [{}]
    first = filled[0] if app_id is None or "id" not in filled[0] else None
    app = first if app_id is None else next((each for each in filled if each.get("id") == app_id), first)
    if app is None:
        return None
    found = {name: app[key] for name, key in _APP.items() if key in app}
    return found | {name: app[name] for name in LIMITS if name in app}


def ids_in(document: Mapping[str, Any], lookup: Lookup) -> list[str]:
    """Return the ids of the apps in a ``soundpost.toml``."""
    return [str(each["id"]) for each in _apps(document, lookup) if "id" in each]


def server_in(document: Mapping[str, Any], lookup: Lookup, sources: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """Return the address at which this machine reaches the server, and ``public_url``, for ``settings_from``.

    The server's own variables in ``sources``, of which earlier ones win, replace keys of ``[server]``. Other keys are
    not even checked.
    """
    table = document.get("server")
    server = _filled(table, lookup) if isinstance(table, dict) else {}
    for key in ("host", "port", "path", "hostname", "tls.certificate"):
        variables = names_of(f"SOUNDPOST_SERVER_{key.replace('.', '_').upper()}")
        value = next(filter(None, (plain_value(source, name) for source in sources for name in variables)), None)
        if value is not None:
            server |= {"tls": {"certificate": value}} if "." in key else {key: value}
    return _address(server)


def lacks_credentials(values: Mapping[str, Any]) -> bool:
    """Return whether values neither name a server by ``url`` nor have all credentials of an app."""
    return "url" not in values and not all(values.get(name) for name in CREDENTIALS)


def _apps(document: Mapping[str, Any], lookup: Lookup) -> list[dict[str, Any]]:
    apps = document.get("apps")
    return [_filled(each, lookup) for each in apps if isinstance(each, dict)] if isinstance(apps, list) else []


def _filled(table: Mapping[str, Any], lookup: Lookup) -> dict[str, Any]:
    filled = {}
    for key, value in table.items():
        try:
            filled[key] = interpolate(value, lookup) if isinstance(value, str) else value
        except UnsetVariableError:
            continue
    return filled


def _address(server: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: server[name] for name in ("port", "path") if server.get(name) not in (None, "", 0, "0")}
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

"""The variable ``SOUNDPOST_URL`` of applications, as a server without an app of its own reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from soundpost.config.options import Setting, Values
from soundpost.environment import APPLICATION, plain_value, value_from_file
from soundpost.environment.app_url import parse_app_url
from soundpost.errors import ConfigurationError
from soundpost.wire.addresses import AddressError, is_loopback_host

_NAME: Final = APPLICATION["url"]


def values_of_url(variables: Mapping[str, str], source: str) -> Values:
    """Return the app in ``SOUNDPOST_URL``, the address to publish to, and for this machine port and path to listen on.

    Empty without the variable. ``source`` begins messages. Raises ConfigurationError.
    """
    text = value_from_file(variables, _NAME, f"{source}: ") or plain_value(variables, _NAME)
    if not text:
        return {}
    place = f"{source}: {_NAME}"
    form = f"{place}: expected http://KEY:SECRET@HOST:PORT/apps/APP_ID"
    try:
        url = parse_app_url(text)
    except AddressError as error:
        raise ConfigurationError(f"{form}: {error}") from None
    if url is None or url.has_query:
        raise ConfigurationError(form)
    app = {("app", "id"): url.app_id, ("app", "key"): url.key, ("app", "secret"): url.secret}
    port = url.port or (443 if url.scheme == "https" else 80)
    backend = {"scheme": url.scheme, "host": url.host, "port": port, "path": url.path}
    values = {**app, **{("backend", name): value for name, value in backend.items() if value}}
    if url.scheme == "http" and is_loopback_host(url.host):
        values |= {("server", "port"): port, ("server", "path"): url.path}
    return {keys: Setting(value, place) for keys, value in values.items()}

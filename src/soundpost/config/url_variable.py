"""The variable ``SOUNDPOST_URL`` of applications, as a server without an app of its own reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from soundpost.config.options import Setting, Values
from soundpost.environment import APPLICATION, plain_value, value_from_file
from soundpost.environment.app_url import app_url_setting
from soundpost.wire.addresses import is_loopback_host

_NAME: Final = APPLICATION["url"]


def values_of_url(variables: Mapping[str, str], source: str) -> Values:
    """Return the app in ``SOUNDPOST_URL``, the address to publish to, and for this machine port and path to listen on.

    Empty without the variable. ``source`` begins messages. Raises ConfigurationError.
    """
    text = value_from_file(variables, _NAME, f"{source}: ") or plain_value(variables, _NAME)
    if not text:
        return {}
    location = f"{source}: {_NAME}"
    url = app_url_setting(text, location)
    app = {("app", "id"): url.app_id, ("app", "key"): url.key, ("app", "secret"): url.secret}
    backend = {"scheme": url.scheme, "host": url.host, "port": url.port, "path": url.path}
    values = {**app, **{("backend", name): value for name, value in backend.items() if value}}
    if url.scheme == "http" and is_loopback_host(url.host):
        values |= {("server", "port"): url.port, ("server", "path"): url.path}
    return {keys: Setting(value, location) for keys, value in values.items()}

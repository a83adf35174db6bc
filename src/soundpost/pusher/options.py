"""Settings of a connection from the constructor's arguments of PyPI's ``pusher``."""

from __future__ import annotations

import base64
import os
from typing import Any

from soundpost.broadcasting.encryption import master_key
from soundpost.broadcasting.settings import ConnectionSettings, parse_app_url
from soundpost.broadcasting.settings.from_mapping import MAX_TIMEOUT
from soundpost.environment import plain_value
from soundpost.errors import ConfigurationError
from soundpost.wire.addresses import host_of, identifier_fault, path_of, port_of
from soundpost.wire.encryption import KEY_SIZE


def connection_settings(
    app_id: str,
    key: str,
    secret: str,
    *,
    ssl: bool,
    host: str | None,
    port: int | None,
    path: str,
    timeout: float,
    cluster: str | None,
    encryption_master_key: str | bytes | None,
    encryption_master_key_base64: str | None,
    verify: bool | str,
) -> ConnectionSettings:
    """Return the settings of a connection; ``timeout`` is in seconds. Raises TypeError and ValueError."""
    for name, value in (("app_id", app_id), ("key", key), ("secret", secret)):
        if not isinstance(value, str):
            raise TypeError(f"{name}: a text is expected, not {type(value).__name__}")
        if not value:
            raise ValueError(f"{name} is empty")
        fault = None if name == "secret" else identifier_fault(value)
        if fault is not None:
            raise ValueError(f"{name} {value!r}: {fault}")
    if not isinstance(ssl, bool):
        raise TypeError(f"ssl {ssl!r}: True or False is expected")
    if port is not None and (not isinstance(port, int) or isinstance(port, bool)):
        raise TypeError(f"port {port!r}: a number is expected")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        raise TypeError(f"timeout {timeout!r}: seconds are expected")
    if not 0 < timeout < MAX_TIMEOUT:
        raise ValueError(f"timeout {timeout!r}: a number of seconds above 0 is expected")
    return ConnectionSettings(
        driver="pusher",
        app_id=app_id,
        key=key,
        secret=secret,
        scheme="https" if ssl else "http",
        host=host_of(host or (f"api-{cluster}.pusher.com" if cluster else "api.pusherapp.com")),
        port=(443 if ssl else 80) if port is None else port_of(port),
        path=path_of(path),
        timeout=timeout,
        connect_timeout=timeout,
        verify=verify,
        encryption_master_key=_master_key(encryption_master_key, encryption_master_key_base64),
    )


def options_from_url(url: str) -> dict[str, Any]:
    """Return constructor arguments from ``http://KEY:SECRET@HOST:PORT/PREFIX/apps/ID``. Raises ValueError."""
    parts = parse_app_url(url)
    if parts is None:
        raise ValueError("the URL is not of the form https://KEY:SECRET@HOST/apps/APP_ID")
    return {
        "app_id": parts.app_id,
        "key": parts.key,
        "secret": parts.secret,
        "host": parts.host,
        "port": parts.port,
        "path": parts.path,
        "ssl": parts.scheme == "https",
    }


def url_from_environment(name: str) -> str:
    """Return the URL in the environment variable ``name``. Raises ValueError if the variable is not set."""
    url = plain_value(os.environ, name)
    if not url:
        raise ValueError(f"the environment has no {name}")
    return url


def _master_key(raw: str | bytes | None, text: str | None) -> str:
    if raw is not None and text is not None:
        raise ValueError("encryption_master_key and encryption_master_key_base64: give the second only")
    if raw is not None:
        key = raw.encode() if isinstance(raw, str) else raw
        if len(key) != KEY_SIZE:
            raise ValueError(f"encryption_master_key has {len(key)} bytes: {KEY_SIZE} are expected")
        return base64.b64encode(key).decode()
    if text is None:
        return ""
    try:
        master_key(text)
    except ConfigurationError as error:
        raise ValueError(f"encryption_master_key_base64: {error}") from None
    return text

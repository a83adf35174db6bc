"""Settings of an application from names and values: a dictionary, keywords, or a framework's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from soundpost.broadcasting.settings.classes import (
    CREDENTIALS,
    DELIVERIES,
    DRIVERS,
    BroadcastSettings,
    ConnectionSettings,
    PublicSettings,
    listed,
)
from soundpost.broadcasting.settings.values import (
    as_address,
    as_bool,
    as_limit,
    as_mapping,
    as_origins,
    as_text,
    lower_names,
    refuse_unknown,
)
from soundpost.environment import truth
from soundpost.environment.app_url import app_url_setting
from soundpost.environment.home_folder import with_home
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.wire.addresses import host_of, identifier_fault, parse_public_url, path_of, port_of

LIMITS: Final = ("max_message_size", "max_user_info_size", "max_user_id_length")
"""Settings of a connection that repeat limits of the server's app."""
MAX_TIMEOUT: Final = 86_400.0
"""Seconds that a timeout may have: a longer one is a mistake, and one without end is not a number."""


def settings_from(given: Mapping[str, Any], place: str = "soundpost.configure") -> BroadcastSettings:
    """Return settings from names and values as an application writes them; names in any case.

    ``given`` has either ``connections``, or the settings of one connection (``url``, or ``app_id``, ``key``,
    ``secret``, ``host`` …) beside the others. ``public_url`` is short for ``public={"url": …}``. Raises
    ConfigurationError that begins with ``place`` and names the setting.
    """
    given = lower_names(given, place)
    public_url = given.pop("public_url", None)
    connections = given.pop("connections", None)
    own_names = {each.name for each in fields(BroadcastSettings)} - {"connections"}
    single_names = {each.name for each in fields(ConnectionSettings)} | {"url"}
    refuse_unknown(given, own_names | single_names | {"connections", "public_url"}, place)
    single = {name: value for name, value in given.items() if name in single_names}
    own = {name: value for name, value in given.items() if name in own_names}
    if connections is not None and single:
        raise ConfigurationError(
            f"{place}: {', '.join(map(repr, single))} beside 'connections': put them into one of the connections"
        )
    if connections is not None:
        as_mapping(connections, f"{place}: 'connections'")
    first = next(iter(connections), "soundpost") if connections else "soundpost"
    default = as_text(own.get("default", first), f"{place}: 'default'")
    if connections is None:
        connections = {default: single}
    own["default"] = default
    own["public"] = public_settings(own.get("public") or {}, place, url=public_url)
    own["trusted_origins"] = as_origins(own.get("trusted_origins", ()), f"{place}: 'trusted_origins'")
    for name in ("after_commit", "debug"):
        if name in own:
            own[name] = as_bool(own[name], f"{place}: {name!r}")
    settings = BroadcastSettings(
        **own,
        connections={
            name: _connection_settings(each, f"{place}: connection {name!r}") for name, each in connections.items()
        },
    )
    _check(settings, place)
    return settings


def public_settings(given: Any, place: str, *, url: Any = None) -> PublicSettings:
    """Return the public address from names and values. Raises ConfigurationError, which begins with ``place``.

    ``given`` has the parts ``host``, ``port``, ``scheme`` or ``tls``, and ``path``, or all in one ``url``, whose parts
    the others replace. ``url`` is used where ``given`` has none.
    """
    if isinstance(given, PublicSettings):
        return given
    values = lower_names(given, f"{place}: 'public'")
    url = values.pop("url", None) or url
    if url is not None:
        parts = as_address(parse_public_url, url, f"{place}: public_url")
        has_scheme = "scheme" in values or "tls" in values
        own = {"host": parts.host, "port": parts.port, "path": parts.path}
        values = {**own, **({} if has_scheme else {"scheme": parts.scheme}), **values}
    scheme = values.pop("scheme", None)
    scheme = scheme.lower() if isinstance(scheme, str) else scheme
    known = sorted((*(each.name for each in fields(PublicSettings)), "url"))
    refuse_unknown(values, known, f"{place}: 'public'", otherwise=f": {', '.join(known)}")
    if scheme is not None and "tls" not in values:
        if scheme not in ("http", "https"):
            raise ConfigurationError(f"{place}: public scheme {redacted(scheme)}: http or https")
        values["tls"] = scheme == "https"
    if values.get("tls") is not None:
        values["tls"] = as_bool(values["tls"], f"{place}: public 'tls'")
    if values.get("port") is not None:
        values["port"] = as_address(port_of, values["port"], f"{place}: public 'port':")
        values.setdefault("tls", True if values["port"] == 443 else None)
    if values.get("host") is not None:
        values["host"] = as_address(host_of, values["host"], f"{place}: public host")
    if values.get("path") is not None:
        values["path"] = as_address(path_of, values["path"], f"{place}: public path")
    return PublicSettings(**values)


def _check(settings: BroadcastSettings, place: str) -> None:
    for name in ("deliver", "on_error", "notification_channel", "queue"):
        if not isinstance(getattr(settings, name), str):
            raise ConfigurationError(f"{place}: {name} {redacted(getattr(settings, name))}: a text is expected")
    if settings.deliver not in DELIVERIES and ":" not in settings.deliver:
        raise ConfigurationError(
            f"{place}: deliver {redacted(settings.deliver)} is unknown: {', '.join(DELIVERIES)}, or 'module:Class' of "
            "your own"
        )
    if settings.on_error not in ("raise", "log"):
        raise ConfigurationError(f"{place}: on_error {redacted(settings.on_error)}: 'raise' or 'log'")
    if settings.connections and settings.default not in settings.connections:
        raise ConfigurationError(
            f"{place}: default {settings.default!r} is not a connection: {listed(settings.connections)}"
        )
    if "{id}" not in settings.notification_channel:
        raise ConfigurationError(f"{place}: notification_channel {settings.notification_channel!r} has no {{id}} in it")


def _connection_settings(given: Any, place: str) -> ConnectionSettings:
    if isinstance(given, ConnectionSettings):
        return given
    values = {name: value for name, value in lower_names(given, place).items() if value is not None}
    url = values.pop("url", None)
    if url:
        values = {**_from_url(as_text(url, f"{place}: 'url'"), f"{place}: 'url'"), **values}
    refuse_unknown(values, {each.name for each in fields(ConnectionSettings)} | {"url"}, place)
    for name in CREDENTIALS:
        if isinstance(values.get(name), int) and not isinstance(values[name], bool):
            values[name] = str(values[name])
    for name in (*CREDENTIALS, "scheme", "driver", "site_url", "encryption_master_key"):
        if name in values:
            values[name] = as_text(values[name], f"{place}: {name!r}")
    if "scheme" in values:
        values["scheme"] = values["scheme"].lower()
    if "site_url" in values:
        values["site_url"] = as_address(parse_public_url, values["site_url"], f"{place}: site_url").url
    if "host" in values:
        values["host"] = as_address(host_of, values["host"], f"{place}: host")
    if "port" in values:
        values["port"] = as_address(port_of, values["port"], f"{place}: 'port':")
    elif values.get("scheme") == "https":
        values["port"] = 443
    if values.get("scheme") is None and values.get("port") == 443:
        values["scheme"] = "https"
    if values.get("driver") == "pusher" and "host" not in values:
        values.update(host="api-mt1.pusher.com", scheme="https", port=443)
    for name in LIMITS:
        if name in values:
            values[name] = as_limit(values[name], f"{place}: {name!r}")
    values["path"] = as_address(path_of, values.get("path", ""), f"{place}: path")
    if isinstance(values.get("verify"), str):
        found = truth(values["verify"])
        values["verify"] = with_home(values["verify"], f"{place}: verify") if found is None else found
    settings = ConnectionSettings(**values)
    _check_connection(settings, place)
    return settings


def _from_url(url: str, place: str) -> dict[str, Any]:
    parts = app_url_setting(url, place)
    return {
        "scheme": parts.scheme,
        "host": parts.host,
        "port": parts.port,
        "key": parts.key,
        "secret": parts.secret,
        "app_id": parts.app_id,
        "path": parts.path,
    }


def _check_connection(settings: ConnectionSettings, place: str) -> None:
    if settings.driver not in DRIVERS and ":" not in settings.driver:
        raise ConfigurationError(
            f"{place}: driver {redacted(settings.driver)} is unknown: {', '.join(DRIVERS)}, or 'module:Class' of one "
            "of your own"
        )
    if settings.scheme not in ("http", "https"):
        raise ConfigurationError(f"{place}: scheme {redacted(settings.scheme)}: http or https")
    for name in ("connect_timeout", "timeout"):
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MAX_TIMEOUT:
            raise ConfigurationError(f"{place}: {name} {redacted(value)}: a number of seconds above 0")
    size = settings.max_batch_size
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigurationError(f"{place}: max_batch_size {redacted(size)}: a whole number of at least 1")
    if not isinstance(settings.verify, bool | str) or settings.verify == "":
        raise ConfigurationError(
            f"{place}: verify {redacted(settings.verify)}: true, false, or the file of a certificate authority"
        )
    # A request's path has the id percent-encoded, but a WebSocket's address has the key as it is.
    fault = identifier_fault(settings.key) if settings.is_server else None
    if fault is not None:
        raise ConfigurationError(f"{place}: key {redacted(settings.key)}: {fault}")
    if settings.encryption_master_key:
        try:
            settings.master_key("")
        except ConfigurationError as error:
            raise ConfigurationError(f"{place}: {error}") from None

"""What an application is told of its servers: connections to publish through, and where browsers connect.

Three addresses, three words: where the server listens is the server's own affair (``soundpost.toml``); ``host`` and
``port`` of a connection are where the application publishes to; ``public`` is where browsers connect.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from soundpost.broadcasting.encryption import master_key
from soundpost.environment import FALSE, TRUE, value_of
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.wire.addresses import AddressError, host_of, identifier_fault, path_of, port_of, split_url
from soundpost.wire.origins import OriginError, check_origins

T = TypeVar("T")

_LONGEST: Final = 86_400.0
"""Seconds: a longer timeout is a mistake, and none at all is no number."""
DRIVERS: Final = ("soundpost", "reverb", "pusher", "embedded", "log", "null", "memory")
_CREDENTIALS: Final = {
    "app_id": "SOUNDPOST_APP_ID",
    "key": "SOUNDPOST_APP_KEY",
    "secret": "SOUNDPOST_APP_SECRET",
}
_LIMITS: Final = ("max_message_size", "max_user_info_size", "max_user_id_length")
_HTTP: Final = ("soundpost", "reverb", "pusher")
_SERVERS: Final = (*_HTTP, "embedded")
DELIVERIES: Final = {
    "now": "soundpost.broadcasting.delivery.now:NowDelivery",
    "background": "soundpost.broadcasting.delivery.background:BackgroundDelivery",
    "celery": "soundpost.contrib.celery:CeleryDelivery",
    "rq": "soundpost.contrib.rq:RqDelivery",
    "dramatiq": "soundpost.contrib.dramatiq:DramatiqDelivery",
    "huey": "soundpost.contrib.huey:HueyDelivery",
    "arq": "soundpost.contrib.arq:ArqDelivery",
    "django-tasks": "soundpost.contrib.django_tasks:DjangoTasksDelivery",
}
"""Where each is, by its name in ``deliver``."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """A server to publish through, or a ``driver`` that needs none. Times are in seconds."""

    driver: str = "soundpost"
    app_id: str = ""
    key: str = ""
    secret: str = field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = 8080
    scheme: str = "http"
    path: str = ""
    encryption_master_key: str = field(default="", repr=False)
    """32 bytes in base64; needed for encrypted channels only."""
    connect_timeout: float = 1.0
    timeout: float = 3.0
    """For all of a publish: to connect, send, wait, and try once more if the connection was stale."""
    verify: bool | str = True
    """False takes any certificate; a path names the file of a certificate authority."""
    max_batch_size: int = 10
    """Events of one request; as the server's option of that name."""
    max_message_size: int = 16_384
    """Bytes of a message from a browser, a subscription say; as the server's option of that name."""
    max_user_info_size: int = 1_024
    """Bytes of what a member's or user's ``user_info`` is in JSON; as the server's option of that name."""
    max_user_id_length: int = 128
    """Characters of a user's id; as the server's option of that name."""

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:8080`` and the path prefix, if any."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_http(self) -> bool:
        """Whether it publishes over the HTTP API."""
        return self.driver in _HTTP

    @property
    def is_server(self) -> bool:
        """Whether a server of any kind takes what is published, in another process or in this one."""
        return self.driver in _SERVERS

    def missing(self) -> list[str]:
        """What it needs and has not: names of settings."""
        return [name for name in _CREDENTIALS if self.is_server and not getattr(self, name)]

    def what_is_missing(self, name: str) -> str | None:
        """The same in words, for a connection called ``name``; None if it has all."""
        missing = self.missing()
        if not missing:
            return None
        variables = ", ".join(_CREDENTIALS[each] for each in missing)
        return f"connection {name!r} has no {', no '.join(missing)}: set {variables}"

    def master_key(self, channel: str) -> bytes:
        """The bytes of the master key. Raises ConfigurationError if there is none."""
        if not self.encryption_master_key:
            raise ConfigurationError(
                f"{channel} is an encrypted channel: set encryption_master_key to 32 random bytes in base64 "
                "(openssl rand -base64 32)"
            )
        return master_key(self.encryption_master_key)


@dataclass(frozen=True, slots=True)
class PublicSettings:
    """Where browsers connect: behind a proxy its name, 443, and TLS."""

    host: str | None = None
    port: int | None = None
    tls: bool | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class BroadcastSettings:
    """All of an application's settings."""

    default: str = "soundpost"
    connections: Mapping[str, ConnectionSettings] = field(default_factory=dict)
    public: PublicSettings = PublicSettings()
    deliver: str = "now"
    on_error: str = "raise"
    after_commit: bool = True
    """Whether events wait for the database transaction they are sent in, where the framework knows of it."""
    trusted_origins: tuple[str, ...] = ()
    """Other sites whose pages may ask the auth endpoints: ``https://app.example.com``, ``https://*.example.com``."""
    debug: bool = False
    """Tell browsers why a channel was denied."""
    notification_channel: str = "App.Models.User.{id}"
    queue: str = "default"
    """The queue for events that name none."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for trusted origins that no page's origin can match."""
        try:
            object.__setattr__(self, "trusted_origins", check_origins(self.trusted_origins))
        except OriginError as error:
            raise ConfigurationError(f"trusted_origins: {error}") from None

    def connection(self, name: str | None = None) -> ConnectionSettings:
        """A connection by name, or the default one. Raises ConfigurationError."""
        name = name or self.default
        found = self.connections.get(name)
        if found is not None:
            return found
        if not self.connections:
            raise ConfigurationError(
                "Soundpost is not configured: set SOUNDPOST_APP_ID, SOUNDPOST_APP_KEY and SOUNDPOST_APP_SECRET "
                "(soundpost init prints them), or call soundpost.configure(…)"
            )
        raise ConfigurationError(f"no connection is named {name!r}: {_known(self.connections)}")

    def browser(self) -> ConnectionSettings:
        """Where browsers connect, and with which key: the default connection at its public address."""
        own = self.connection()
        public = self.public
        scheme = own.scheme if public.tls is None else ("https" if public.tls else "http")
        port = own.port
        if public.port is not None:
            port = public.port
        elif public.host is not None or public.tls is not None:
            port = 443 if scheme == "https" else own.port
        path = own.path if public.path is None else _path(public.path)
        return replace(own, host=public.host or own.host, port=port, scheme=scheme, path=path, secret="")


def settings_from(given: Mapping[str, Any], what: str = "soundpost.configure") -> BroadcastSettings:
    """Settings from names and values as an application writes them; names in any case.

    Either ``connections``, or the settings of one connection (``url``, or ``app_id``, ``key``, ``secret``, ``host`` …)
    beside the others. Raises ConfigurationError that names the setting; ``what`` says where it stands.
    """
    given = {str(name).lower(): value for name, value in _mapping(given, what).items()}
    several = given.pop("connections", None)
    own_names = {each.name for each in fields(BroadcastSettings)} - {"connections"}
    single_names = {each.name for each in fields(ConnectionSettings)} | {"url"}
    for name in given:
        if name not in own_names | single_names:
            near = get_close_matches(name, own_names | single_names | {"connections"}, n=1)
            raise ConfigurationError(f"{what}: {name!r} is no setting{f'; did you mean {near[0]!r}?' if near else ''}")
    single = {name: value for name, value in given.items() if name in single_names}
    own = {name: value for name, value in given.items() if name in own_names}
    if several is not None and single:
        raise ConfigurationError(
            f"{what}: {', '.join(map(repr, single))} beside 'connections': put them into one of the connections"
        )
    if several is not None:
        _mapping(several, f"{what}: 'connections'")
    default = _text(
        own.get("default", next(iter(several), "soundpost") if several else "soundpost"), f"{what}: 'default'"
    )
    connections = {default: single} if several is None else several
    own["default"] = default
    own["public"] = _public(own.get("public", {}), what)
    own["trusted_origins"] = _origins(own.get("trusted_origins", ()), f"{what}: 'trusted_origins'")
    for name in ("after_commit", "debug"):
        if name in own:
            own[name] = _bool(own[name], f"{what}: {name!r}")
    made = BroadcastSettings(
        **own,
        connections={name: _connection(each, f"{what}: connection {name!r}") for name, each in connections.items()},
    )
    _check(made, what)
    return made


def settings_from_environment(environ: Mapping[str, str] | None = None) -> BroadcastSettings:
    """Settings from ``SOUNDPOST_…``; where one is not set, from Laravel's ``REVERB_…`` of the same purpose.

    ``SOUNDPOST_URL`` (``http://key:secret@host:8080/apps/id``), or ``SOUNDPOST_APP_ID``, ``_APP_KEY``, ``_APP_SECRET``,
    ``_HOST``, ``_PORT``, ``_SCHEME``, ``_PATH``; ``SOUNDPOST_PUBLIC_HOST``, ``_PUBLIC_PORT``, ``_PUBLIC_SCHEME``,
    ``_PUBLIC_PATH`` for browsers; ``SOUNDPOST_BROADCAST_DRIVER``, ``_DELIVER``, ``_ON_ERROR``, ``_TRUSTED_ORIGINS``,
    ``_ENCRYPTION_MASTER_KEY``. Without any: no connection. Raises ConfigurationError.
    """
    given = values_from_environment(environ)
    public = given["public"]
    if len(given) == 1:
        return BroadcastSettings(public=_public(public, "environment"))
    return settings_from(given, "environment")


def values_from_environment(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the environment says, as :func:`settings_from` takes it; ``public`` is always there."""
    environ = os.environ if environ is None else environ
    given: dict[str, Any] = {}
    for name, variables in _VARIABLES.items():
        for variable in variables:
            value = value_of(environ, variable)
            if value:
                given[name] = value
                break
    if not any(name in given for name in ("url", *_CREDENTIALS)):  # the server's own: they say nothing of ours
        given = {name: value for name, value in given.items() if name not in _LIMITS}
    public: dict[str, Any] = {}
    for name in ("host", "port", "scheme", "path"):
        value = value_of(environ, f"SOUNDPOST_PUBLIC_{name.upper()}")
        if value:
            public[name] = value
    return {**given, "public": public}


_VARIABLES: Final = {
    "url": ("SOUNDPOST_URL",),
    "app_id": ("SOUNDPOST_APP_ID", "REVERB_APP_ID"),
    "key": ("SOUNDPOST_APP_KEY", "REVERB_APP_KEY"),
    "secret": ("SOUNDPOST_APP_SECRET", "REVERB_APP_SECRET"),
    "host": ("SOUNDPOST_HOST", "REVERB_HOST"),
    "port": ("SOUNDPOST_PORT", "REVERB_PORT"),
    "scheme": ("SOUNDPOST_SCHEME", "REVERB_SCHEME"),
    "path": ("SOUNDPOST_PATH",),
    "encryption_master_key": ("SOUNDPOST_ENCRYPTION_MASTER_KEY",),
    "max_message_size": ("SOUNDPOST_APP_MAX_MESSAGE_SIZE", "REVERB_APP_MAX_MESSAGE_SIZE"),
    "max_user_info_size": ("SOUNDPOST_APP_MAX_USER_INFO_SIZE",),
    "max_user_id_length": ("SOUNDPOST_APP_MAX_USER_ID_LENGTH",),
    "driver": ("SOUNDPOST_BROADCAST_DRIVER",),
    "deliver": ("SOUNDPOST_DELIVER",),
    "on_error": ("SOUNDPOST_ON_ERROR",),
    "trusted_origins": ("SOUNDPOST_TRUSTED_ORIGINS",),
}


def _connection(given: Any, what: str) -> ConnectionSettings:
    if isinstance(given, ConnectionSettings):
        return given
    known = {each.name for each in fields(ConnectionSettings)}
    values = {str(name).lower(): value for name, value in _mapping(given, what).items() if value is not None}
    url = values.pop("url", None)
    if url:
        values = {**_from_url(_text(url, f"{what}: 'url'"), f"{what}: 'url'"), **values}
    for name in values:
        if name not in known:
            near = get_close_matches(name, known | {"url"}, n=1)
            raise ConfigurationError(f"{what}: {name!r} is no setting{f'; did you mean {near[0]!r}?' if near else ''}")
    for name in ("app_id", "key", "secret"):
        if isinstance(values.get(name), int) and not isinstance(values[name], bool):
            values[name] = str(values[name])
    for name in ("app_id", "key", "secret", "scheme", "driver", "encryption_master_key"):
        if name in values:
            values[name] = _text(values[name], f"{what}: {name!r}")
    if "host" in values:
        values["host"] = _address(host_of, values["host"], f"{what}: host")
    if "port" in values:
        values["port"] = _address(port_of, values["port"], f"{what}: 'port':")
    elif values.get("scheme") == "https":
        values["port"] = 443
    if values.get("scheme") is None and values.get("port") == 443:
        values["scheme"] = "https"
    if values.get("driver") == "pusher" and "host" not in values:
        values.update(host="api-mt1.pusher.com", scheme="https", port=443)
    for name in _LIMITS:
        if name in values:
            values[name] = _limit(values[name], f"{what}: {name!r}")
    values["path"] = _address(path_of, values.get("path", ""), f"{what}: path")
    if isinstance(values.get("verify"), str) and values["verify"].lower() in TRUE | FALSE:
        values["verify"] = values["verify"].lower() in TRUE
    made = ConnectionSettings(**values)
    _check_connection(made, what)
    return made


def _check_connection(made: ConnectionSettings, what: str) -> None:
    if made.driver not in DRIVERS and ":" not in made.driver:
        raise ConfigurationError(
            f"{what}: driver {redacted(made.driver)} is unknown: {', '.join(DRIVERS)}, or 'module:Class' of one of "
            "your own"
        )
    if made.scheme not in ("http", "https"):
        raise ConfigurationError(f"{what}: scheme {redacted(made.scheme)}: http or https")
    for name in ("connect_timeout", "timeout"):
        value = getattr(made, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST:
            raise ConfigurationError(f"{what}: {name} {redacted(value)}: a number of seconds above 0")
    size = made.max_batch_size
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigurationError(f"{what}: max_batch_size {redacted(size)}: a whole number of at least 1")
    if not isinstance(made.verify, bool | str) or made.verify == "":
        raise ConfigurationError(
            f"{what}: verify {redacted(made.verify)}: true, false, or the file of a certificate authority"
        )
    fault = identifier_fault(made.key) if made.is_server else None  # an id is encoded where it stands in a path
    if fault is not None:
        raise ConfigurationError(f"{what}: key {redacted(made.key)}: {fault}")
    if made.encryption_master_key:
        try:
            made.master_key("")
        except ConfigurationError as error:
            raise ConfigurationError(f"{what}: {error}") from None


def _check(made: BroadcastSettings, what: str) -> None:
    for name in ("deliver", "on_error", "notification_channel", "queue"):
        if not isinstance(getattr(made, name), str):
            raise ConfigurationError(f"{what}: {name} {redacted(getattr(made, name))}: a text is expected")
    if made.deliver not in DELIVERIES and ":" not in made.deliver:
        raise ConfigurationError(
            f"{what}: deliver {redacted(made.deliver)} is unknown: {', '.join(DELIVERIES)}, or 'module:Class' of your "
            "own"
        )
    if made.on_error not in ("raise", "log"):
        raise ConfigurationError(f"{what}: on_error {redacted(made.on_error)}: 'raise' or 'log'")
    if made.connections and made.default not in made.connections:
        raise ConfigurationError(f"{what}: default {made.default!r} is no connection: {_known(made.connections)}")
    if "{id}" not in made.notification_channel:
        raise ConfigurationError(f"{what}: notification_channel {made.notification_channel!r} has no {{id}} in it")


def _public(given: Any, what: str) -> PublicSettings:
    if isinstance(given, PublicSettings):
        return given
    values = {str(name).lower(): value for name, value in _mapping(given, f"{what}: 'public'").items()}
    scheme = values.pop("scheme", None)
    known = {each.name for each in fields(PublicSettings)}
    for name in values:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f": {', '.join(sorted(known))}"
            raise ConfigurationError(f"{what}: 'public': {name!r} is no setting{hint}")
    if scheme is not None and "tls" not in values:
        if scheme not in ("http", "https"):
            raise ConfigurationError(f"{what}: public scheme {redacted(scheme)}: http or https")
        values["tls"] = scheme == "https"
    if values.get("tls") is not None:
        values["tls"] = _bool(values["tls"], f"{what}: public 'tls'")
    if values.get("port") is not None:
        values["port"] = _address(port_of, values["port"], f"{what}: public 'port':")
        values.setdefault("tls", True if values["port"] == 443 else None)
    if values.get("host") is not None:
        values["host"] = _address(host_of, values["host"], f"{what}: public host")
    if values.get("path") is not None:
        values["path"] = _address(path_of, values["path"], f"{what}: public path")
    return PublicSettings(**values)


def _from_url(url: str, what: str) -> dict[str, Any]:
    form = f"{what}: expected http://KEY:SECRET@HOST:PORT/apps/APP_ID (https in the open)"
    try:
        parts = split_url(url)
    except AddressError as error:
        raise ConfigurationError(f"{form}: {error}; / ? # @ in a secret are written %2F %3F %23 %40") from None
    head, found, app_id = parts.path.rstrip("/").rpartition("/apps/")
    complete = found and app_id and parts.username and parts.password
    if not complete or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ConfigurationError(form)
    return {
        "scheme": parts.scheme,
        "host": parts.hostname,
        "port": parts.port or (443 if parts.scheme == "https" else 80),
        "key": unquote(parts.username or ""),
        "secret": unquote(parts.password or ""),
        "app_id": unquote(app_id),
        "path": head,
    }


def _known(connections: Mapping[str, Any]) -> str:
    return f"there {'is' if len(connections) == 1 else 'are'} {', '.join(connections)}"


def _path(path: str) -> str:
    stripped = str(path).strip("/")
    return f"/{stripped}" if stripped else ""


def _address(read: Callable[[Any], T], value: Any, what: str) -> T:
    try:
        return read(value)
    except AddressError as error:
        raise ConfigurationError(f"{what} {error}") from None


def _mapping(value: Any, what: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        # A text may be a secret, or have one in it, that stands where a dictionary should.
        shown = "a text" if isinstance(value, str | bytes) else redacted(value)
        raise ConfigurationError(f"{what}: {shown} should be a dictionary of settings such as {{'url': …}}")
    return value


def _text(value: Any, what: str) -> str:
    """A text. What is none is not shown: it may be a secret."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{what}: a text is expected, not {type(value).__name__}")
    return value


def _limit(value: Any, what: str) -> int:
    try:
        limit = int(value)
    except (TypeError, ValueError):
        limit = 0
    if limit < 1:
        raise ConfigurationError(f"{what}: {redacted(value)} is no limit: a number from 1 up")
    return limit


def _bool(value: Any, what: str) -> bool:
    text = str(value).strip().lower()
    if text in TRUE or text in FALSE or not text:
        return text in TRUE
    raise ConfigurationError(f"{what}: {redacted(value)} is neither true nor false")


def _origins(value: Any, what: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [each.strip() for each in value.split(",") if each.strip()]
    if not isinstance(value, list | tuple | set) or not all(isinstance(each, str) for each in value):
        raise ConfigurationError(f"{what}: {redacted(value)} should be a list of texts")
    try:
        return check_origins(value)
    except OriginError as error:
        raise ConfigurationError(f"{what}: {error}") from None

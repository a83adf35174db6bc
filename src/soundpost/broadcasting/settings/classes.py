"""The settings of an application, of each connection it publishes through, and of its public address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from soundpost.broadcasting.encryption import master_key
from soundpost.defaults import DEFAULT_PORT
from soundpost.environment import APPLICATION
from soundpost.errors import ConfigurationError
from soundpost.wire.origins import OriginError, check_origins

DRIVERS: Final = ("soundpost", "reverb", "pusher", "embedded", "log", "null", "memory")
"""Names of the drivers that are part of Soundpost."""
CREDENTIALS: Final = ("app_id", "key", "secret")
"""Settings that a connection to a server must have."""
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
"""Names for ``deliver``, each with the ``module:Class`` that it stands for."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """A connection to a server, or a ``driver`` that needs no server. Times are in seconds."""

    driver: str = "soundpost"
    app_id: str = ""
    key: str = ""
    secret: str = field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    scheme: str = "http"
    path: str = ""
    site_url: str = "http://127.0.0.1:8000"
    """The site with the embedded server, as other processes of the application reach it (driver ``embedded``)."""
    encryption_master_key: str = field(default="", repr=False)
    """Master key of encrypted channels: 32 bytes in base64. Other channels need none."""
    connect_timeout: float = 1.0
    timeout: float = 3.0
    """Seconds for a whole publish: connect, send, wait, and try once more if the connection was stale."""
    verify: bool | str = True
    """Check of the server's certificate. False accepts any; a path names the file of a certificate authority."""
    max_batch_size: int = 10
    """Events in one request, at most: the server's option of the same name."""
    max_message_size: int = 16_384
    """Bytes of a message from a browser, such as a subscription: the server's option of the same name."""
    max_user_info_size: int = 1_024
    """Bytes of a member's or user's ``user_info`` as JSON: the server's option of the same name."""
    max_user_id_length: int = 128
    """Characters of a user's id: the server's option of the same name."""

    @property
    def base_url(self) -> str:
        """The server's address with the path prefix, if any: ``http://127.0.0.1:8080/ws``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_http(self) -> bool:
        """True for a driver that publishes over the HTTP API."""
        return self.driver in _HTTP

    @property
    def is_server(self) -> bool:
        """True for a driver that publishes to a server, in another process or embedded in this one."""
        return self.driver in _SERVERS

    def missing(self) -> list[str]:
        """Return the names of the credentials that the connection needs and lacks."""
        return [name for name in CREDENTIALS if self.is_server and not getattr(self, name)]

    def missing_in_words(self, name: str) -> str | None:
        """Return a message about the lacking credentials of a connection called ``name``; None if it has all."""
        missing = self.missing()
        if not missing:
            return None
        variables = ", ".join(APPLICATION[each] for each in missing)
        return f"connection {name!r} has no {', no '.join(missing)}: set {variables}"

    def master_key(self, channel: str) -> bytes:
        """Return the 32 bytes of the master key, needed for ``channel``. Raises ConfigurationError if there is none."""
        if not self.encryption_master_key:
            raise ConfigurationError(
                f"{channel} is an encrypted channel: set encryption_master_key to 32 random bytes in base64 "
                "(openssl rand -base64 32)"
            )
        return master_key(self.encryption_master_key)


@dataclass(frozen=True, slots=True)
class PublicSettings:
    """The address at which browsers connect: behind a proxy, the proxy's name, port 443, and TLS."""

    host: str | None = None
    port: int | None = None
    tls: bool | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class BroadcastSettings:
    """All settings of an application."""

    default: str = "soundpost"
    connections: Mapping[str, ConnectionSettings] = field(default_factory=dict)
    public: PublicSettings = PublicSettings()
    deliver: str = "now"
    on_error: str = "raise"
    after_commit: bool = True
    """Hold events until the database transaction around them commits, if the framework knows of one."""
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
        """Return the connection called ``name``, or the default one. Raises ConfigurationError for an unknown name."""
        name = name or self.default
        found = self.connections.get(name)
        if found is not None:
            return found
        if not self.connections:
            raise ConfigurationError(
                "Soundpost is not configured: the environment, .env and soundpost.toml in the working directory have "
                "no credentials. 'soundpost init' writes a soundpost.toml there. Or set SOUNDPOST_APP_ID, "
                "SOUNDPOST_APP_KEY and SOUNDPOST_APP_SECRET, or call soundpost.configure(…)"
            )
        raise ConfigurationError(f"no connection is named {name!r}: {listed(self.connections)}")

    def browser(self) -> ConnectionSettings:
        """Return the default connection as browsers see it: at its public address, and without the secret."""
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


def listed(connections: Iterable[str]) -> str:
    """Return the names of the connections for a message: ``there are main, log``."""
    names = list(connections)
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"


def _path(path: str) -> str:
    stripped = str(path).strip("/")
    return f"/{stripped}" if stripped else ""

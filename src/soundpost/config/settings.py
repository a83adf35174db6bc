"""What can be configured: the shape of ``soundpost.toml``. Sizes are in bytes, times in seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from soundpost.core.app_settings import AppSettings, Positive
from soundpost.defaults import DEFAULT_PORT
from soundpost.redaction import redacted_fields

Proxy = Annotated[str, Meta(description="an address, a network such as 10.0.0.0/8, or *")]
NotNegative = Annotated[int, Meta(ge=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]
KeyPrefix = Annotated[str, Meta(pattern=r"^[-A-Za-z0-9_.:]{1,64}\Z", description="1 to 64 of letters, digits and -_.:")]
RedisUrl = Annotated[
    str,
    Meta(
        pattern=r"^(rediss?(-sentinel|-cluster)?|unix|tcp|tls)://.+$",
        description="a URL such as redis://127.0.0.1:6379/0 (also rediss://, redis-sentinel://, redis-cluster://, unix://)",
    ),
]
PathPrefix = Annotated[
    str,
    Meta(pattern=r"^/?([-A-Za-z0-9._~]+(/[-A-Za-z0-9._~]+)*/?)?\Z", description="a path such as /ws"),
]


class TlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[server.tls]``: serve https and wss directly. Both files in PEM; the key may be in the certificate's file."""

    certificate: str | None = None
    key: str | None = None
    passphrase: str | None = None
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """Older versions of TLS are refused."""

    def __repr__(self) -> str:
        return redacted_fields(self, "passphrase")


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[server]``: where the daemon listens, and what it takes from anyone."""

    host: str = "0.0.0.0"
    """Address to listen on. With credentials generated for this run: 127.0.0.1, unless another one is given."""
    port: Port = DEFAULT_PORT
    """Port to listen on; 0 takes a free one."""
    unix_socket: str | None = None
    """Path of a Unix socket to listen on instead of host and port, for a proxy on the same machine."""
    path: PathPrefix = ""
    """Prefix of every path, such as ``/ws``."""
    trusted_proxies: tuple[Proxy, ...] = ("127.0.0.1", "::1")
    """Addresses and networks (``10.0.0.0/8``) of proxies that are believed when they say where a client is; ``*``: all.
    Whoever comes by a Unix socket is."""
    client_ip_header: Literal["auto", "X-Forwarded-For", "X-Real-IP", "Forwarded", "none"] = "auto"
    """The header in which trusted proxies say where a client is. ``auto``: whichever is there; several that contradict
    one another say nothing, for a client may have sent what its proxy does not set."""
    proxy_protocol: bool = False
    """Every connection begins with a PROXY header (version 1 or 2), from a trusted proxy."""
    workers: Positive | Literal["auto"] = 1
    """Processes that share the port and act as one; ``auto``: one for each core."""
    hostname: str | None = None
    """The name under which clients reach the server; only printed in snippets."""
    max_request_size: Positive = 262_144
    """Body of an API request; a larger one is answered 413."""
    max_head_size: Positive = 16_384
    """Request line and headers together; more is answered 431."""
    max_connections: Positive | None = None
    """Open sockets of all apps at a time. None: what the limit of open files allows. WebSockets leave a twentieth, at
    most 64, to the API."""
    request_timeout: Positive = 10
    """A request must be complete after this time, or its connection is closed."""
    keep_alive_timeout: Positive = 75
    """An idle HTTP connection is closed after this time."""
    close_timeout: Positive = 5
    """How long a closed connection may take to read what is still on its way to it."""
    shutdown_timeout: Positive = 5
    """How long closing connections may take to go when the server stops."""
    drain_time: NotNegative | None = None
    """Over how long clients are sent away when the server stops or is restarted, so that they do not come back all at
    once. None: 10 where others serve meanwhile (other hosts, or the workers that follow), 0 where nobody does."""
    drain_delay: NotNegative = 0
    """For how long, when it is told to stop, the server goes on as if nothing had happened, but for ``/up/ready``: time
    for a load balancer to look elsewhere."""
    compression: bool = True
    """Compress events for clients that offer it (permessage-deflate), once for all of them."""
    compression_threshold: Positive = 512
    """Messages below this size are sent as they are."""
    playground: bool | None = None
    """Serve the playground page, which signs and publishes for everybody who reaches it. None: only with credentials
    generated for this run, on this machine only."""
    tls: TlsSettings = TlsSettings()


class ScalingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[scaling]``: several hosts that act as one, over Redis 6.2 or newer, or Valkey."""

    redis: RedisUrl | None = None
    """Where Redis is; without it this host serves alone."""
    prefix: KeyPrefix = "soundpost"
    """Of all keys and topics: hosts with the same prefix act as one."""
    ca_certificate: str | None = None
    """PEM file with whom to trust over TLS; the system's if there is none."""
    certificate: str | None = None
    """PEM file with what to show to a server that asks for a certificate."""
    key: str | None = None
    """PEM file, the certificate's key."""
    sentinel_username: str | None = None
    """To log in to sentinels, where that is not as to Redis itself."""
    sentinel_password: str | None = None

    def __repr__(self) -> str:
        return redacted_fields(self, "sentinel_password")


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    scaling: ScalingSettings = ScalingSettings()
    apps: tuple[AppSettings, ...] = ()


class PublicAddress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where applications publish to and browsers connect, as ``SOUNDPOST_HOST/PORT/SCHEME/PATH`` (or Laravel's
    ``REVERB_HOST/PORT/SCHEME``) say: often a proxy's 443 in front of our 8080. Never where the daemon listens."""

    host: str | None = None
    port: Port | None = None
    scheme: Literal["http", "https"] | None = None
    path: PathPrefix | None = None

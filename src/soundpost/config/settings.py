"""Settings of the server, in the shape of ``soundpost.toml``. Sizes are in bytes, times in seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from soundpost.core.app_settings import AppSettings, Positive
from soundpost.defaults import DEFAULT_PORT
from soundpost.redaction import redacted_fields
from soundpost.wire.addresses import certificate_host

Proxy = Annotated[str, Meta(description="an address, a network such as 10.0.0.0/8, or *")]
DrainSeconds = Annotated[int, Meta(ge=0, le=86_400)]
Port = Annotated[int, Meta(ge=0, le=65535)]
WorkerCount = Annotated[int, Meta(ge=1, le=1_024)]  # more is a mistake, and would fill the machine with processes
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
Token = Annotated[
    str,
    Meta(pattern=r"^[!-~]{16,200}\Z", description="16 to 200 characters of ASCII without spaces"),
]
FilePath = Annotated[str, Meta(pattern=r"^[^\0]+\Z", description="a path; without one, leave the option out")]
PasswordHash = Annotated[
    str,
    Meta(
        pattern=r"^scrypt:[0-9]{1,7}:[0-9]{1,2}:[0-9]{1,2}:[-A-Za-z0-9_]{16,128}:[-A-Za-z0-9_]{32,128}\Z",
        description="what 'soundpost dashboard password' prints",
    ),
]


class TlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[server.tls]``: serve https and wss directly. Both files are PEM; the certificate's may contain the key."""

    certificate: FilePath | None = None
    key: FilePath | None = None
    passphrase: str | None = None
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is accepted."""

    def __repr__(self) -> str:
        return redacted_fields(self, "passphrase")


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[server]``: the address to listen on, and limits for all clients."""

    host: str = "0.0.0.0"
    """Address to listen on. With credentials generated for this run: 127.0.0.1, unless another one is given."""
    port: Port = DEFAULT_PORT
    """Port to listen on; 0 takes a free one."""
    unix_socket: FilePath | None = None
    """Path of a Unix socket to listen on instead of host and port, for a proxy on the same machine."""
    path: PathPrefix = ""
    """Prefix of every path, such as ``/ws``."""
    trusted_proxies: tuple[Proxy, ...] = ("127.0.0.1", "::1")
    """Addresses and networks (``10.0.0.0/8``) of proxies whose headers about a client's address are believed; ``*``:
    all. A proxy that connects by a Unix socket is always believed."""
    client_ip_header: Literal["auto", "X-Forwarded-For", "X-Real-IP", "Forwarded", "none"] = "auto"
    """The header with a client's address that trusted proxies set. ``auto``: the header that a request has; headers
    that contradict one another are ignored, because a client may have sent the one that its proxy does not set."""
    proxy_protocol: bool = False
    """Expect a PROXY header (version 1 or 2) from a trusted proxy at the beginning of every connection."""
    workers: WorkerCount | Literal["auto"] = 1
    """Processes that share the port and act as one; ``auto``: one for each core."""
    hostname: str | None = None
    """The host name by which clients reach the server; used by snippets, the playground and ``soundpost deploy``."""
    public_url: str | None = None
    """The address at which browsers connect, such as ``https://ws.example.com``: behind a proxy, the proxy's. Used by
    ``soundpost deploy``, ``soundpost doctor``, snippets, and the pages of applications. None: the server's own."""
    max_history_size: Positive = 134_217_728
    """Bytes of all kept events in one process; beyond them the oldest are forgotten."""
    max_request_size: Positive = 262_144
    """Bytes in the body of an API request; a larger body is answered 413."""
    max_head_size: Positive = 16_384
    """Bytes in request line and headers together; more are answered 431."""
    max_connections: Positive | None = None
    """Open sockets of all apps at a time. None: as many as the limit of open files allows. A twentieth of them, at
    most 64, is kept free of WebSockets, for the API."""
    request_timeout: Positive = 10
    """Seconds until a request must be complete; otherwise its connection is closed."""
    keep_alive_timeout: Positive = 75
    """Seconds after which an idle HTTP connection is closed."""
    close_timeout: Positive = 5
    """Seconds that a closing connection has to read the bytes still on their way to it."""
    shutdown_timeout: Positive = 5
    """Seconds that all connections have to close when the server stops."""
    drain_time: DrainSeconds | None = None
    """Seconds over which clients are disconnected when the server stops or restarts, so that they do not reconnect all
    at once. None: 10 if other hosts or new workers serve meanwhile, otherwise 0."""
    drain_delay: DrainSeconds = 0
    """Seconds that a stopping server goes on serving while ``/up/ready`` already fails: time for a load balancer to
    choose another server."""
    compression: bool = True
    """Compress events for clients that offer permessage-deflate (RFC 7692), once for all of them."""
    compression_threshold: Positive = 512
    """Size in bytes of the smallest message that is compressed."""
    playground: bool | None = None
    """Serve the playground page, which signs and publishes for every visitor. None: serve it only with generated
    credentials, and then to this machine only."""
    private_webhooks: bool = True
    """Send webhooks to private addresses too: this machine, its network. False refuses all addresses that are not
    public, for a server whose apps belong to others."""
    max_webhook_queue_size: Positive = 33_554_432
    """Bytes of all webhook events that wait for their endpoints, in one process; beyond them the oldest of the longest
    queue is dropped."""
    log_format: Literal["text", "json"] = "text"
    """Form of the log on stderr: sentences with their time, or an object of JSON in each line."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged."""
    access_log: bool = False
    """Log each request to the API."""
    state_dir: FilePath | None = None
    """Folder for a journal of the channels, members and users that endpoints of webhooks were told of: after a crash
    they are told who is gone. None: no journal."""
    tls: TlsSettings = TlsSettings()

    @property
    def certificate_host(self) -> str | None:
        """The host name that the server's own certificate is for; None without TLS, or if nothing says the name."""
        return None if self.tls.certificate is None else certificate_host(self.hostname, self.public_url, self.port)


class ScalingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[scaling]``: several hosts that act as one, over Redis 6.2 or newer, or Valkey."""

    redis: RedisUrl | None = None
    """The URL of Redis. None: this host serves alone."""
    prefix: KeyPrefix = "soundpost"
    """Prefix of all keys and topics in Redis: hosts with the same prefix act as one."""
    ca_certificate: FilePath | None = None
    """PEM file with the certificate authorities to trust. None: those of the system."""
    certificate: FilePath | None = None
    """PEM file with the certificate for a Redis that asks its clients for one."""
    key: FilePath | None = None
    """PEM file with the key of ``certificate``."""
    sentinel_username: str | None = None
    """User name at the sentinels, if it differs from the one in ``redis``."""
    sentinel_password: str | None = None

    def __repr__(self) -> str:
        return redacted_fields(self, "sentinel_password")


class DashboardSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[dashboard]``: a page of the server for its operators, with a listener of its own."""

    enabled: bool | None = None
    """Serve the dashboard. None: serve it if ``port`` is given."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port | None = None
    """Port to listen on; 0 takes a free one. None: 8090."""
    password_hash: PasswordHash | None = None
    """Hash that ``soundpost dashboard password`` prints. None: no password, for a loopback ``host`` only."""
    hostname: str | None = None
    """The host name under which browsers open the dashboard. None: ``server.hostname``, or that of ``public_url``."""

    @property
    def is_on(self) -> bool:
        """True if the dashboard is served."""
        return self.port is not None if self.enabled is None else self.enabled

    def __repr__(self) -> str:
        return redacted_fields(self, "password_hash")


class MetricsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[metrics]``: metrics for Prometheus, with a listener of their own."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port | None = None
    """Port to listen on; 0 takes a free one. None: no metrics."""
    token: Token | None = None
    """Bearer token that Prometheus must send. None: no token, for a loopback ``host`` only."""

    @property
    def is_on(self) -> bool:
        """True if metrics are served."""
        return self.port is not None

    def __repr__(self) -> str:
        return redacted_fields(self, "token")


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of the server."""

    server: ServerSettings = ServerSettings()
    scaling: ScalingSettings = ScalingSettings()
    dashboard: DashboardSettings = DashboardSettings()
    metrics: MetricsSettings = MetricsSettings()
    apps: tuple[AppSettings, ...] = ()


class BackendAddress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address to which applications publish: ``SOUNDPOST_HOST/PORT/SCHEME/PATH``, or Laravel's
    ``REVERB_HOST/PORT/SCHEME``. The server never listens on it."""

    host: str | None = None
    port: Port | None = None
    scheme: Literal["http", "https"] | None = None
    path: PathPrefix | None = None


class PublicAddress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address at which browsers connect: ``SOUNDPOST_PUBLIC_HOST/PORT/SCHEME/PATH``, each in place of the same part
    of ``server.public_url``. None stands for a part that nothing says."""

    host: str | None = None
    port: Port | None = None
    scheme: Literal["http", "https"] | None = None
    path: PathPrefix | None = None

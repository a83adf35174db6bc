"""Plan of a deployment, and its result: files, next steps, address for the backend."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from soundpost.config.settings import ServerSettings, Settings
from soundpost.defaults import DEFAULT_PORT
from soundpost.errors import ConfigurationError
from soundpost.wire.addresses import reachable_host

_DRAIN_TIME: Final = 10  # seconds: the server's default
_MARGIN: Final = 10  # seconds from the server's own limits to a SIGKILL
_IDLE_MARGIN: Final = 60  # seconds that a proxy adds to the longest silence; clients answer a ping within 30

_LABEL: Final = "[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:]+\]?")
_NODE: Final = re.compile(r"(unix:/[-\w./@+]+|[-A-Za-z0-9_.]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5})")
_FILE: Final = re.compile(r"[-\w./@+,:=~]+")
_NETWORK: Final = re.compile(r"[0-9A-Fa-f.:]+(/\d{1,3})?")


class BackendAddress(NamedTuple):
    """Address at which the application's own programs reach the server."""

    scheme: str
    host: str
    port: int


class ConfigFile(NamedTuple):
    """File of a configuration. A ``private`` one holds a secret: written with mode 600, never printed."""

    path: Path
    text: str
    private: bool = False
    of_other_target: bool = False
    """True for a file that another target prints, or that would spoil output for a program."""
    earlier: str = ""
    """Text that an earlier step wrote in the same place, and that is replaced without ``--force``."""

    takes_comments: bool = True
    """False for a file that is nothing but a value."""

    @property
    def is_printed(self) -> bool:
        """True if the file is printed when nothing is written."""
        return not (self.private or self.of_other_target)


class Deployment(NamedTuple):
    """Result of a plan for one target."""

    files: tuple[ConfigFile, ...]
    steps: tuple[str, ...]
    """Steps once the files are written: commands, or sentences that begin with ``#``."""
    backend: BackendAddress
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployPlan:
    """Settings of the server, and of its surroundings. Raises ConfigurationError for impossible ones."""

    settings: Settings
    server_name: str
    """Host name to which browsers connect, or an IPv6 address without brackets."""
    connections: int = 10_000
    """Number of clients at a time."""
    certificate: str = ""
    """PEM file with the whole chain; empty means certbot's file for the server name."""
    key: str = ""
    scheme: Literal["http", "https"] = "https"
    """Scheme by which browsers connect: always ``https`` to a proxy."""
    tls_port: int = 443
    http_port: int = 80
    """Port that redirects plain HTTP to https; 0 means none."""
    nodes: tuple[str, ...] = ()
    """Addresses (``host:port``) of several servers that act as one; empty means the server configured here."""
    api_is_internal: bool = False
    """True to close ``/apps`` to the outside."""
    api_from: tuple[str, ...] = ()
    """Addresses and networks that may use an internal API through the proxy, besides this machine."""

    def __post_init__(self) -> None:
        server = self.settings.server
        if server.port == 0 and server.unix_socket is None and not self.nodes:
            raise ConfigurationError(
                "port 0 takes another port at every start: set server.port to a fixed one, such as 8080"
            )
        if self.connections < 1:
            raise ConfigurationError(f"--connections {self.connections}: expected a number of at least 1")
        _check("--server-name", self.server_name, _NAME, "a host name such as ws.example.com")
        for node in self.nodes:
            _check("--node", node, _NODE, "an address such as 10.0.0.1:8080")
        for network in self.api_from:
            _check("--api-from", network, _NETWORK, "an address or network such as 10.0.0.0/8")
        for option, path in (("--certificate", self.certificate_file), ("--key", self.key_file)):
            _check(option, path, _FILE, "a path without spaces and quotes")
        for option, port in (("--listen", self.tls_port), ("--http-port", self.http_port)):
            if not 0 <= port < 65536 or (option == "--listen" and port == 0):
                raise ConfigurationError(f"{option} {port}: expected a port from 1 to 65535")
        if server.unix_socket is not None:
            _check("server.unix_socket", server.unix_socket, _FILE, "a path without spaces and quotes")

    @property
    def site(self) -> str:
        """The server name as browsers send it in ``Host``: an IPv6 address in brackets."""
        return f"[{self.server_name}]" if ":" in self.server_name else self.server_name

    @property
    def server(self) -> ServerSettings:
        """The settings of the server."""
        return self.settings.server

    @property
    def prefix(self) -> str:
        """The path prefix: empty, or ``/ws`` without a slash at its end."""
        return self.server.path.rstrip("/")

    @property
    def certificate_file(self) -> str:
        """The path of the certificate with its chain."""
        return self.certificate or f"/etc/letsencrypt/live/{self.server_name}/fullchain.pem"

    @property
    def key_file(self) -> str:
        """The path of the certificate's key."""
        return self.key or f"/etc/letsencrypt/live/{self.server_name}/privkey.pem"

    @property
    def unix_socket(self) -> str | None:
        """The Unix socket of a single server; None without one."""
        return None if self.nodes else self.server.unix_socket

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The addresses at which a proxy here reaches the servers: ``host:port``, or ``unix:/path``."""
        if self.nodes:
            return self.nodes
        if self.server.unix_socket is not None:
            return (f"unix:{self.server.unix_socket}",)
        return (f"{self._local_host}:{self.server.port}",)

    @property
    def speaks_tls(self) -> bool:
        """True if the server itself serves https."""
        return self.server.tls.certificate is not None

    @property
    def longest_idle_time(self) -> int:
        """The longest time, in seconds, that a healthy connection of any app is silent."""
        return max(max(app.activity_timeout, app.ping_interval) for app in self.settings.apps)

    @property
    def idle_timeout(self) -> int:
        """The seconds after which a proxy may close a silent connection."""
        return self.longest_idle_time + _IDLE_MARGIN

    @property
    def stop_seconds(self) -> int:
        """The seconds that the server may take to stop: clients leave, queued messages are sent."""
        drain = self.server.drain_time
        own = (_DRAIN_TIME if drain is None else drain) + self.server.drain_delay + self.server.shutdown_timeout
        return math.ceil(own) + _MARGIN

    @property
    def backend(self) -> BackendAddress:
        """The address for programs on this machine: the proxy's inner port if the server has a Unix socket."""
        if self.nodes and not self.nodes[0].startswith("unix:"):
            host, _, port = self.nodes[0].rpartition(":")
            return BackendAddress("https" if self.speaks_tls else "http", host.strip("[]"), int(port))
        if self.server.unix_socket is not None or self.nodes:
            return BackendAddress("http", "127.0.0.1", self.server.port or DEFAULT_PORT)
        if self.server.certificate_host:  # a certificate is for a name, not for 127.0.0.1
            return BackendAddress("https", self.server.certificate_host, self.server.port)
        return BackendAddress("https" if self.speaks_tls else "http", self._local_host.strip("[]"), self.server.port)

    @property
    def _local_host(self) -> str:
        host = reachable_host(self.server.host)
        return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _check(option: str, value: str, rule: re.Pattern[str], expected: str) -> None:
    if not rule.fullmatch(value):
        raise ConfigurationError(f"{option} {value!r}: expected {expected}")

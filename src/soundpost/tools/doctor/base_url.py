"""Base URL of a server: scheme, host, port and path."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from soundpost.client.address import PROTOCOL
from soundpost.errors import ConfigurationError
from soundpost.redaction import redacted
from soundpost.tools.doctor.hosts import is_loopback, same_host
from soundpost.wire.addresses import AddressError, split_url

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class BaseUrl(NamedTuple):
    """Base URL: scheme ``http`` or ``https``, host, port, path prefix (``/ws``, or empty), Unix socket or empty."""

    scheme: str
    host: str
    port: int
    path: str = ""
    unix_socket: str = ""

    @property
    def is_tls(self) -> bool:
        """True if the scheme is https."""
        return self.scheme == "https"

    @property
    def is_loopback(self) -> bool:
        """True if the host is this machine's loopback address."""
        return is_loopback(self.host)

    @property
    def authority(self) -> str:
        """Host and port as in a Host header, without the scheme's default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL as text; ``unix:PATH`` for a Unix socket."""
        if self.unix_socket:
            return f"unix:{self.unix_socket}"
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def origin(self) -> str:
        """The base URL without its path."""
        return f"{self.scheme}://{self.authority}"

    @property
    def facts(self) -> dict[str, str | int]:
        """The facts of a fault that names this URL as the right one."""
        return {"inside": self.url, "host": self.host, "port": self.port, "scheme": self.scheme}

    def is_same_listener(self, other: BaseUrl | None) -> bool:
        """Return whether two base URLs lead to the same port of one machine, or to the same Unix socket."""
        return (
            other is not None
            and (self.port, self.unix_socket) == (other.port, other.unix_socket)
            and same_host(self.host, other.host)
        )

    def socket_path(self, key: str) -> str:
        """Return the path of an app's WebSockets."""
        return f"{self.path}/app/{quote(key, safe='')}"

    def socket_url(self, key: str) -> str:
        """Return the URL of an app's WebSockets, with the query that pusher-js sends."""
        scheme = "wss" if self.is_tls else "ws"
        query = f"protocol={PROTOCOL}&client=js&version=8.4.0&flash=false"
        return f"{scheme}://{self.authority}{self.socket_path(key)}?{query}"


def parse_base_url(url: str) -> BaseUrl:
    """Return the base URL in a text; ``ws`` and ``wss`` URLs are accepted too. Raises ConfigurationError."""
    try:
        parts = split_url(url)
    except AddressError:
        parts = None
    if parts is None or parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigurationError(
            f"{redacted(url)} is not an address such as https://ws.example.com or http://127.0.0.1:8080"
        )
    scheme = _SCHEMES[parts.scheme]
    path = parts.path.strip("/")
    return BaseUrl(scheme, parts.hostname, parts.port or (443 if scheme == "https" else 80), f"/{path}" if path else "")

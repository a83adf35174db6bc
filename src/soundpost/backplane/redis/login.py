"""Address of a Redis server, and the login to it."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from soundpost.backplane.redis.parameters import CONNECT_TIMEOUT
from soundpost.redaction import redacted_fields


class Address(NamedTuple):
    """Host and port of one server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Login(NamedTuple):
    """Credentials and options of a connection to a server."""

    username: str | None = None
    password: str | None = None
    database: int = 0
    tls: ssl.SSLContext | None = None
    unix_socket: str | None = None
    """Path to connect to, whatever the address is."""
    name: str = "soundpost"
    """Name of the connection in the server's list."""
    connect_timeout: float = CONNECT_TIMEOUT
    """Seconds to connect, and for each command before events can flow."""

    def __repr__(self) -> str:
        return redacted_fields(self, "password")

"""Addresses of one server: for programs on this machine, for applications, for browsers."""

from __future__ import annotations

from typing import NamedTuple

from soundpost.config import BackendAddress, Loaded, PublicAddress, ServerSettings
from soundpost.wire.addresses import reachable_host


class ServerAddress(NamedTuple):
    """Scheme ``http`` or ``https``, host, port, and path prefix (``/ws``, or empty)."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The base URL, always with its port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_tls(self) -> bool:
        """True if the scheme is https."""
        return self.scheme == "https"


def local_address(server: ServerSettings, port: int | None = None) -> ServerAddress:
    """Return the address for programs on the server's machine; ``port`` replaces a configured port of 0."""
    is_tls = server.tls.certificate is not None
    # A certificate is for a name, not for 127.0.0.1.
    host = server.certificate_host or reachable_host(server.host)
    return ServerAddress("https" if is_tls else "http", host, server.port if port is None else port, server.path)


def published_address(loaded: Loaded) -> ServerAddress:
    """Return the address that applications publish to: ``SOUNDPOST_HOST/PORT/SCHEME/PATH``, else the server's own."""
    return _replaced(local_address(loaded.settings.server), loaded.backend)


def browser_address(loaded: Loaded, port: int | None = None) -> ServerAddress:
    """Return the address that browsers connect to: the public one, else the published one under the host name."""
    local = local_address(loaded.settings.server, port)
    published = _replaced(local._replace(host=loaded.settings.server.hostname or local.host), loaded.backend)
    return _replaced(published, loaded.public)


def _replaced(own: ServerAddress, given: BackendAddress | PublicAddress) -> ServerAddress:
    """Return ``own``, with the parts of ``given`` that are given."""
    port = given.port or (443 if given.scheme == "https" and not own.is_tls else own.port)
    scheme = given.scheme or ("https" if port == 443 else own.scheme)
    path = own.path if given.path is None else f"/{given.path.strip('/')}".rstrip("/")
    return ServerAddress(scheme, given.host or own.host, port, path)

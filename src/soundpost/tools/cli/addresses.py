"""Addresses of one server: for programs on this machine, for applications, for browsers."""

from __future__ import annotations

from typing import Final, NamedTuple

from soundpost.config import Loaded, ServerSettings

_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}


class ServerAddress(NamedTuple):
    """Scheme ``http`` or ``https``, host, port, and path prefix (``/ws``, or empty)."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """Return the base URL, always with its port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_tls(self) -> bool:
        """Tell whether the scheme is https."""
        return self.scheme == "https"


def local_address(server: ServerSettings, port: int | None = None) -> ServerAddress:
    """Return the address for programs on the server's machine; ``port`` replaces a configured port of 0."""
    is_tls = server.tls.certificate is not None
    # A certificate is for a name, not for 127.0.0.1.
    host = server.hostname if is_tls and server.hostname else _ANYWHERE.get(server.host, server.host)
    return ServerAddress("https" if is_tls else "http", host, server.port if port is None else port, server.path)


def published_address(loaded: Loaded) -> ServerAddress:
    """Return the address that applications publish to: ``SOUNDPOST_HOST/PORT/SCHEME/PATH``, else the server's own."""
    return _said(loaded, local_address(loaded.settings.server))


def browser_address(loaded: Loaded, port: int | None = None) -> ServerAddress:
    """Return the address that browsers connect to: as published, else under the server's host name."""
    local = local_address(loaded.settings.server, port)
    return _said(loaded, local._replace(host=loaded.settings.server.hostname or local.host))


def _said(loaded: Loaded, own: ServerAddress) -> ServerAddress:
    public = loaded.public
    port = public.port or (443 if public.scheme == "https" and not own.is_tls else own.port)
    scheme = public.scheme or ("https" if port == 443 else own.scheme)
    path = own.path if public.path is None else f"/{public.path.strip('/')}".rstrip("/")
    return ServerAddress(scheme, public.host or own.host, port, path)

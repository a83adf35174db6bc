"""Two addresses of one server: where programs on this machine reach it, and where the browsers of users do."""

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
        """As a base URL, with its port even where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_tls(self) -> bool:
        """Whether it is https and wss."""
        return self.scheme == "https"


def local_address(server: ServerSettings, port: int | None = None) -> ServerAddress:
    """Where programs on the server's own machine reach it; ``port`` is the real one of a server told to take any."""
    is_tls = server.tls.certificate is not None
    # A certificate is for a name, not for 127.0.0.1.
    host = server.hostname if is_tls and server.hostname else _ANYWHERE.get(server.host, server.host)
    return ServerAddress("https" if is_tls else "http", host, server.port if port is None else port, server.path)


def published_address(loaded: Loaded) -> ServerAddress:
    """Where applications publish to: what ``SOUNDPOST_HOST/PORT/SCHEME/PATH`` say, else the server's own address."""
    return _said(loaded, local_address(loaded.settings.server))


def browser_address(loaded: Loaded, port: int | None = None) -> ServerAddress:
    """Where browsers connect: as published, but under the server's host name if nothing else is said."""
    local = local_address(loaded.settings.server, port)
    return _said(loaded, local._replace(host=loaded.settings.server.hostname or local.host))


def _said(loaded: Loaded, own: ServerAddress) -> ServerAddress:
    public = loaded.public
    port = public.port or (443 if public.scheme == "https" and not own.is_tls else own.port)
    scheme = public.scheme or ("https" if port == 443 else own.scheme)
    path = own.path if public.path is None else f"/{public.path.strip('/')}".rstrip("/")
    return ServerAddress(scheme, public.host or own.host, port, path)

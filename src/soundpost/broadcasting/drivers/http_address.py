"""Where a server is, and how to reach it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property

from soundpost.broadcasting.settings import ConnectionSettings


@dataclass(frozen=True)
class HttpAddress:
    """Host and port, with TLS or without. ``verify``: False takes any certificate, a path names an authority's file."""

    host: str
    port: int
    is_tls: bool
    verify: bool | str

    @classmethod
    def of(cls, settings: ConnectionSettings) -> HttpAddress:
        """The address of a connection."""
        return cls(settings.host, settings.port, settings.scheme == "https", settings.verify)

    @property
    def host_header(self) -> str:
        """As in the header ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """Made once: to load the certificates takes 20 ms."""
        if not self.is_tls:
            return None
        context = ssl.create_default_context(cafile=self.verify if isinstance(self.verify, str) else None)
        if self.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

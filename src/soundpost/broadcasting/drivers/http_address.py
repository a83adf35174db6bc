"""The address of a server, and the TLS context to reach it with."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property

from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.wire.http_exchange import host_header


@dataclass(frozen=True)
class HttpAddress:
    """Host and port of a server.

    ``verify`` is False to take any certificate, or the path of a certificate authority's file.
    """

    host: str
    port: int
    is_tls: bool
    verify: bool | str

    @classmethod
    def of(cls, settings: ConnectionSettings) -> HttpAddress:
        """Return the address in the settings of a connection."""
        return cls(settings.host, settings.port, settings.scheme == "https", settings.verify)

    @property
    def host_header(self) -> str:
        """The value of the header ``Host``."""
        return host_header(self.host, self.port, is_tls=self.is_tls)

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS context, None without TLS; made once, since loading the certificates takes 20 ms."""
        if not self.is_tls:
            return None
        context = ssl.create_default_context(cafile=self.verify if isinstance(self.verify, str) else None)
        if self.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

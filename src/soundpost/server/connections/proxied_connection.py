"""Connections that begin with a PROXY header, as ``server.proxy_protocol`` demands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from soundpost.errors import ProxyHeaderError
from soundpost.server.api.requests import Request
from soundpost.server.connections.http_connection import HttpConnection
from soundpost.server.connections.peer import UNKNOWN_ADDRESS, peer_address
from soundpost.server.connections.tls import TlsObject
from soundpost.wire.proxy_protocol import ProxyHeader, read_proxy_header

if TYPE_CHECKING:
    from soundpost.server.server import Server


class ProxiedConnection(HttpConnection):
    """An HTTP connection behind a PROXY header. With TLS the header comes first, and :class:`TlsObject` has read it."""

    __slots__ = ("_beginning", "_header")

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._beginning = b""
        self._header: ProxyHeader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse a peer that is not a trusted proxy; take the header that came before TLS."""
        super().connection_made(transport)
        address = peer_address(transport)
        if self._is_gone(address):
            return
        if not self._server.trusted_proxies.trusts(address):
            self.refuse(self._server.wrong_protocol.explain_untrusted_proxy(address))
            return
        handshake = transport.get_extra_info("ssl_object")
        if isinstance(handshake, TlsObject):
            self._header = handshake.header
            if handshake.fault is not None:
                self.refuse(self._server.wrong_protocol.explain_missing_header(address, handshake.fault))

    def data_received(self, data: bytes) -> None:
        """Take bytes of the header, or of requests behind it."""
        if self._header is None and not self._ending:
            self._beginning += data
            try:
                self._header = read_proxy_header(self._beginning)
            except ProxyHeaderError as error:
                address = peer_address(self.transport)
                if not self._is_gone(address):
                    self.refuse(self._server.wrong_protocol.explain_missing_header(address, error))
                return
            if self._header is None:
                return
            data, self._beginning = self._beginning[self._header.size :], b""
        if data:
            super().data_received(data)

    def _is_gone(self, address: str) -> bool:
        """Drop a connection whose other end is gone, such as a port scan or a health check; return True then."""
        if address == UNKNOWN_ADDRESS:
            self._ending = True
            self.transport.abort()
        return self._ending

    @property
    def peer(self) -> str:
        """The address in the header; the proxy's own if the header has none (a health check)."""
        return self._source or super().peer

    def forwarded_address(self, request: Request) -> str | None:
        """Return the address in a request's headers (of a proxy further in front), or else in the PROXY header."""
        return super().forwarded_address(request) or self._source

    @property
    def _source(self) -> str | None:
        return None if self._header is None else self._header.source

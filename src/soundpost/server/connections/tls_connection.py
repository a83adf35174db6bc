"""Connections before the end of their TLS handshake, counted and evicted like all others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from soundpost.server.connections.peer import UNKNOWN_ADDRESS, peer_address

if TYPE_CHECKING:
    import ssl

    from soundpost.server.connections.http_connection import HttpConnection
    from soundpost.server.server import Server


class TlsConnection(asyncio.Protocol):
    """A connection that waits for the first bytes, shakes hands, and hands over to the connection that ``make`` makes.

    The loop's own TLS listener would not do: its sockets are not counted while they are silent before or in the
    handshake.
    """

    __slots__ = ("_context", "_early", "_is_over", "_make", "_server", "_task", "_transport", "slot")

    def __init__(self, server: Server, context: ssl.SSLContext, make: Callable[[Server], HttpConnection]) -> None:
        self._server = server
        self._context = context
        self._make = make
        self._early = bytearray()  # input for TLS; later, input behind the handshake
        self._is_over = False
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self.slot = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and wait for its first bytes."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.sockets.opened(self)
        self._server.wheel.add(self, self._server.settings.request_timeout)

    def data_received(self, data: bytes) -> None:
        """Begin the handshake at the first bytes; keep those that come right behind the handshake."""
        self._early += data
        if self._task is None and self._transport is not None:
            self._transport.pause_reading()
            self._server.wheel.remove(self)
            self._task = self._server.loop.create_task(self._shake_hands(self._transport))

    def eof_received(self) -> None:
        """Note that the client has ended its side already."""
        self._is_over = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client is gone."""
        self._is_over = True
        if self._task is None:
            self._server.wheel.remove(self)
            self._server.sockets.closed(self)

    def on_time(self, now: int) -> int:
        """Drop a client that sent nothing in time."""
        self.abort()
        return 0

    @property
    def peer(self) -> str:
        """The address of the connection's other end."""
        return UNKNOWN_ADDRESS if self._transport is None else peer_address(self._transport)

    @property
    def counted_address(self) -> str:
        """The address under which the socket is counted: the client's network, or a proxy's own address."""
        return UNKNOWN_ADDRESS if self._transport is None else self._server.counted_address(self._transport)

    @property
    def is_evictable(self) -> bool:
        """True: no request has come yet."""
        return True

    def abort(self) -> None:
        """Drop the socket."""
        if self._transport is not None:
            self._transport.abort()

    async def _shake_hands(self, raw: asyncio.Transport) -> None:
        server = self._server
        handshake = server.loop.create_task(
            server.loop.start_tls(
                raw, self, self._context, server_side=True, ssl_handshake_timeout=server.settings.request_timeout
            )
        )
        await asyncio.sleep(0)  # TLS is the transport's protocol now, and reads on in the next turn
        first = bytes(self._early)
        self._early.clear()
        server.loop.call_soon(_feed, raw, first)
        try:
            tls = await handshake
        except (OSError, RuntimeError):  # no TLS, or not in time, or gone
            tls = None
            raw.abort()
        finally:
            server.sockets.closed(self)
            self._transport = self._task = None
            del handshake  # its exception refers to this frame: the two, and TLS' buffers, would wait for the collector
        if tls is None:
            return
        if self._is_over:
            tls.abort()
            return
        connection = self._make(server)
        tls.set_protocol(connection)
        connection.connection_made(tls)
        if self._early:
            connection.data_received(bytes(self._early))


def _feed(raw: asyncio.Transport, data: bytes) -> None:
    """Give TLS the bytes that were read before it began."""
    protocol = raw.get_protocol()
    if raw.is_closing() or isinstance(protocol, TlsConnection):  # the handshake could not begin
        return
    protocol = cast("asyncio.BufferedProtocol", protocol)  # uvloop's does not inherit from it
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]

"""The address of a connection's peer, asked of the kernel when needed: no memory is spent on keeping it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from soundpost.wire.client_address import normal_address

if TYPE_CHECKING:
    from soundpost.server.connections.socket_transport import SocketTransport

UNKNOWN_ADDRESS: Final = "an unknown address"


def peer_address(transport: asyncio.BaseTransport | SocketTransport) -> str:
    """Return the address of a connection's other end; empty on a Unix socket, UNKNOWN_ADDRESS once the peer is gone.

    Not ``get_extra_info("peername")``: uvloop would keep the answer, 150 bytes for each connection.
    """
    known = transport.get_extra_info("socket")
    if known is None:
        return UNKNOWN_ADDRESS
    if known.family == socket.AF_UNIX:
        return ""
    try:
        sock = socket.socket(known.family, known.type, known.proto, fileno=known.fileno())
        try:
            host = str(sock.getpeername()[0])
        finally:
            sock.detach()
    except OSError:
        return UNKNOWN_ADDRESS
    return normal_address(host) or host


def shown(address: str) -> str:
    """Return an address as log lines show it: an empty one stands for a Unix socket."""
    return address or "a Unix socket"

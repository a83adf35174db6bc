"""Where a connection comes from, asked of the kernel when somebody wants to know: nothing is kept for it."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from soundpost.wire.client_address import normal_address

GONE: Final = "an unknown address"


def peer_address(transport: asyncio.BaseTransport) -> str:
    """The address of a connection's other end; empty on a Unix socket, :data:`GONE` if it cannot be known any more.

    Not ``get_extra_info("peername")``: uvloop would keep the answer, 150 bytes for each connection.
    """
    known = transport.get_extra_info("socket")
    if known is None:
        return GONE
    if known.family == socket.AF_UNIX:
        return ""
    try:
        sock = socket.socket(known.family, known.type, known.proto, fileno=known.fileno())
        try:
            host = str(sock.getpeername()[0])
        finally:
            sock.detach()
    except OSError:
        return GONE
    return normal_address(host) or host


def shown(address: str) -> str:
    """An address in a sentence."""
    return address or "a Unix socket"

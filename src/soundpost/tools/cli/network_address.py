"""Address by which other machines reach this one, for the banner."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

_ELSEWHERE: Final = ("192.0.2.1", 9)
"""An address reserved for documentation (RFC 5737). Nothing is sent there: the kernel only chooses the way."""


def address_in_network() -> str | None:
    """Return this machine's IPv4 address on the way to other machines; None without a network."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_ELSEWHERE)
        address = str(probe.getsockname()[0])
        return None if address.startswith("127.") or address == "0.0.0.0" else address
    return None

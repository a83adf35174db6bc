"""Socket ids: names of connections in the hello, in signatures, and in events that exclude a connection.

Source: https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/#connection-events
"""

from __future__ import annotations

import re
from typing import Final

_SOCKET_ID: Final = re.compile(r"[0-9]{1,20}\.[0-9]{1,20}")
_MAX_SHOWN: Final = 60


def is_socket_id(value: object) -> bool:
    """Return whether a value can be a socket id: up to 20 digits, a dot, up to 20 digits."""
    return isinstance(value, str) and _SOCKET_ID.fullmatch(value) is not None


def fault(value: object) -> str | None:
    """Return the fault of a socket id, in words that are safe to log and to answer; None for a valid one."""
    if is_socket_id(value):
        return None
    # Escaped after the cut: the value may be long, or have a line break that would end a line of a log.
    shown = f"{value[:_MAX_SHOWN]!a}" if isinstance(value, str) else f"{value!a:.{_MAX_SHOWN}}"
    more = "…" if isinstance(value, str) and len(value) > _MAX_SHOWN else ""
    return f"{shown}{more} is not a socket id: expected digits, a dot, digits, as in 123.456"

"""Socket ids: what a connection is called in the hello, in signatures and by publishers who leave it out.

Source: https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/#connection-events
"""

from __future__ import annotations

import re
from typing import Final

_SOCKET_ID: Final = re.compile(r"[0-9]{1,20}\.[0-9]{1,20}")
_MAX_SHOWN: Final = 60


def is_socket_id(value: object) -> bool:
    """Whether a value can be a socket id: up to 20 digits, a dot, up to 20 digits; no other characters at all."""
    return isinstance(value, str) and _SOCKET_ID.fullmatch(value) is not None


def fault(value: object) -> str | None:
    """Return what is wrong with a socket id, in words that are safe to log and to answer; None for a good one."""
    if is_socket_id(value):
        return None
    # Escaped after it is cut: what comes from outside may be long, or end a line of a log.
    shown = f"{value[:_MAX_SHOWN]!a}" if isinstance(value, str) else f"{value!a:.{_MAX_SHOWN}}"
    more = "…" if isinstance(value, str) and len(value) > _MAX_SHOWN else ""
    return f"{shown}{more} is no socket id: expected digits, a dot, digits, as in 123.456"

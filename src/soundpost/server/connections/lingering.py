"""Lingering close: input after the last answer or close frame is read and discarded.

Closing the socket at once would lose the reason on its way: a client that writes without reading sees the reason only
once it has written everything.
"""

from __future__ import annotations

from typing import Final

MAX_READ: Final = 16 * 1024 * 1024
"""Bytes of one client that are discarded; then its socket is not read any more, and dropped after a timeout."""


class Lingering:
    """Count of the bytes that each client sends after the last answer or close frame."""

    def __init__(self) -> None:
        self._read: dict[object, int] = {}

    def may_read_more(self, connection: object, size: int) -> bool:
        """Count ``size`` bytes; return True if more may be read."""
        read = self._read[connection] = self._read.get(connection, 0) + size
        return read < MAX_READ

    def forget(self, connection: object) -> None:
        """Forget a connection whose socket is gone."""
        self._read.pop(connection, None)

"""Reading past what a client still sends after it has been told to go.

Closing or ignoring its socket at once would lose the reason on its way: a client that writes without reading hears it
only once it has written everything.
"""

from __future__ import annotations

from typing import Final

MAX_READ: Final = 16 * 1024 * 1024
"""Bytes of one client that are read past; then its socket is not read from any more, and dropped in time."""


class Lingering:
    """Counts what clients send after their end."""

    def __init__(self) -> None:
        self._read: dict[object, int] = {}

    def may_read_on(self, connection: object, size: int) -> bool:
        """Count so many bytes; return whether more may be read."""
        read = self._read[connection] = self._read.get(connection, 0) + size
        return read < MAX_READ

    def forget(self, connection: object) -> None:
        """Forget a connection whose socket is gone."""
        self._read.pop(connection, None)

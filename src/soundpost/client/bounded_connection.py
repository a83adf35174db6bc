"""A WebSocket connection of the ``websockets`` library with bounds on the memory that a server can claim."""

from __future__ import annotations

from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode

MAX_FRAGMENTS: Final = 10_000
"""Fragments of one message: the limit of its size does not count empty fragments."""
MAX_UNSENT: Final = 1_048_576
"""Bytes that may wait for a server that does not read, as answers to its pings."""


class BoundedConnection(ClientConnection):
    """A connection that ends when the server exceeds a limit; ``refused`` names the limit."""

    refused = ""
    _fragments = 0

    def data_received(self, data: bytes) -> None:
        """Take bytes, and answer pings among them."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MAX_UNSENT:
            self._refuse("the server sends pings and does not read the answers")

    def process_event(self, event: Any) -> None:
        """Take a frame (RFC 6455, 5)."""
        if isinstance(event, Frame) and event.opcode in (Opcode.CONT, Opcode.TEXT, Opcode.BINARY):
            self._fragments = 0 if event.fin else self._fragments + 1
            if self._fragments > MAX_FRAGMENTS:
                self._refuse(f"the server sent a message of more than {MAX_FRAGMENTS:,} fragments")
        if not self.refused:
            super().process_event(event)

    def _refuse(self, why: str) -> None:
        self.refused = why
        self.transport.abort()

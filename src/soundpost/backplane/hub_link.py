"""The stream of messages between a worker and the hub, with one write per loop turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from soundpost.backplane.hub_messages import Message, MessageReader, encode

log = logging.getLogger("soundpost.workers")


class HubLink(asyncio.Protocol):
    """One end of the stream: calls ``on_message`` for each message that arrives, and ``on_lost`` at the end."""

    def __init__(self, on_message: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._reader = MessageReader()
        self._pending: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def send(self, message: Message) -> None:
        """Send a message at the end of this loop turn, or with the next :meth:`flush`."""
        if not self._pending:
            self._loop.call_soon(self.flush)
        self._pending.append(encode(message))

    def flush(self) -> None:
        """Send all waiting messages now."""
        pending, self._pending = self._pending, []
        if pending and self._transport is not None:
            self._transport.write(b"".join(pending))

    @property
    def waiting(self) -> int:
        """Return the number of bytes that wait to be sent."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close the stream."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the open transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        """Handle the messages that ``data`` completes."""
        for message in self._reader.feed(data):
            try:
                self._on_message(message)
            except Exception:  # one client's message must not cost all clients the stream
                log.exception("a message between hub and worker could not be handled")

    def connection_lost(self, exc: Exception | None) -> None:
        """Report that the other side is gone."""
        self._transport = None
        self._on_lost()

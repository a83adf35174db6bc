"""One end of the stream between a worker and the hub: messages in, messages out, one write per loop turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from soundpost.backplane.hub_messages import Message, MessageReader, encode

log = logging.getLogger("soundpost.workers")


class HubLink(asyncio.Protocol):
    """Call :meth:`send` for each message; what arrives is handed to ``on_message``, the end to ``on_lost``."""

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
        """Send now what is waiting."""
        pending, self._pending = self._pending, []
        if pending and self._transport is not None:
            self._transport.write(b"".join(pending))

    @property
    def waiting(self) -> int:
        """Bytes that the other side has not read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """End the stream."""
        if self._transport is not None:
            self._transport.close()

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The stream is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        """Bytes of messages."""
        for message in self._reader.feed(data):
            try:
                self._on_message(message)
            except Exception:  # what one client's message leads to must not cost everybody the stream
                log.exception("a message between hub and worker could not be handled")

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        self._transport = None
        self._on_lost()

"""What a delivery does: have messages sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from soundpost.broadcasting.message import Message


class Delivery(Protocol):
    """Has messages sent, now or later. Made from the :class:`~soundpost.broadcasting.drivers.sending.Drivers`."""

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        """Have them sent, in order; ``queue`` is for those that have queues. Raises BroadcastError."""

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        """The same, without blocking the event loop."""

    def close(self) -> None:
        """Have what waits sent, within a few seconds."""

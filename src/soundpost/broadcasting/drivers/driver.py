"""What a driver does: take messages to where they are to go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from soundpost.broadcasting.message import Message


class Driver(Protocol):
    """Sends the messages of one connection. Made from :class:`~soundpost.broadcasting.settings.ConnectionSettings`.

    Used from any thread, and from any event loop.
    """

    blocks: bool
    """Whether :meth:`send` waits for a network, so that it must not be called in an event loop."""

    def send(self, messages: Sequence[Message]) -> None:
        """Send them, in order. Raises BroadcastError, the rest unsent."""

    async def asend(self, messages: Sequence[Message]) -> None:
        """The same, without blocking the event loop."""

    def close(self) -> None:
        """Close what is open; it is opened again when needed."""

    async def aclose(self) -> None:
        """The same, for what belongs to the running event loop."""

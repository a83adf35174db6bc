"""The delivery ``now``: messages are sent at once, in the request."""

from __future__ import annotations

from collections.abc import Sequence

from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.event_loops import in_event_loop
from soundpost.broadcasting.message import Message
from soundpost.errors import BroadcastError


class NowDelivery:
    """A delivery that waits until the server has answered, for ``timeout`` of the connection at most (3 seconds)."""

    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        """Send messages. Raises BroadcastError, also in an event loop, which sending would block."""
        if in_event_loop() and self._drivers.any_blocks(messages):
            raise BroadcastError(
                f"event {messages[0]}: broadcast() would block the event loop that runs here: "
                "use 'await abroadcast(…)' ('await apublish(…)'), or set deliver to 'background'"
            )
        self._drivers.send(messages)

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        """Send messages without blocking the event loop. Raises BroadcastError."""
        await self._drivers.asend(messages)

    def close(self) -> None:
        """Do nothing: no message waits here."""

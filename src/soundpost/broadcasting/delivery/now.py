"""Send at once, in the request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.message import Message
from soundpost.errors import BroadcastError


class NowDelivery:
    """The sender waits until the server has it, for 3 seconds at most."""

    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        """Send them. In an event loop that would stop all else, and is refused."""
        if _in_event_loop() and self._drivers.any_blocks(messages):
            raise BroadcastError(
                f"event {messages[0]}: broadcast() would block the event loop that runs here: "
                "use 'await abroadcast(…)' ('await apublish(…)'), or set deliver to 'background'"
            )
        self._drivers.send(messages)

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        """Send them."""
        await self._drivers.asend(messages)

    def close(self) -> None:
        """Nothing waits."""


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

"""The user that a client is signed in as, and the events sent to that user."""

from __future__ import annotations

from typing import Any

from soundpost.client.incoming import ReceivedEvent
from soundpost.client.subscription import Subscription


class User:
    """The user of a signed-in client: iterate over the events that are sent to it."""

    def __init__(self, id: str, info: Any, events: Subscription) -> None:
        self.id = id
        self.info = info
        """The application's ``user_info``."""
        self._events = events

    @property
    def missed(self) -> int:
        """Number of events that were dropped as their reader was more than 1,000 behind."""
        return self._events.missed

    async def next(self, timeout: float | None = None) -> ReceivedEvent:  # noqa: ASYNC109 - as queue.Queue.get
        """Return the next event. Raises TimeoutError after ``timeout`` seconds."""
        return await self._events.next(timeout)

    def __aiter__(self) -> User:
        self._events.__aiter__()
        return self

    async def __anext__(self) -> ReceivedEvent:
        return await self._events.__anext__()

"""The bounded queue of events that wait for their reader."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from soundpost.client.incoming import ReceivedEvent

_log: Final = logging.getLogger("soundpost.client")
MAX_WAITING: Final = 1_000
"""Events that may wait for one reader."""
MAX_BYTES: Final = 16_777_216
"""Bytes of messages that may wait for one reader, the last message not counted."""
_MAX_DELAY: Final = 1.0
"""Seconds for which a full queue holds up the connection."""


class EventQueue:
    """A queue of at most 1,000 events, and of 16 MiB of messages.

    A full queue holds up the connection for a second at most: TCP's flow control then spares a busy reader a burst.
    After the second the oldest events are dropped, and counted in ``missed``, until half of the queue is read. A queue
    that has never been read holds up nothing.
    """

    def __init__(self, of: str) -> None:
        self.missed = 0
        """Number of events that were dropped."""
        self._of = of
        self._events: deque[ReceivedEvent] = deque()
        self._size = 0
        self._has_events = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_reader = False
        self._full_since: float | None = None
        self._warned = False
        self._ended = False
        self._error: BaseException | None = None

    async def put(self, event: ReceivedEvent) -> None:
        """Append an event; wait for room in a full queue, for a second at most."""
        if self._ended:
            return
        if self._full_since is not None and len(self._events) <= MAX_WAITING // 2 and self._size <= MAX_BYTES // 2:
            self._full_since = None
            self._warned = False
        if self._is_full:
            await self._make_room()
        self._events.append(event)
        self._size += event.size
        self._has_events.set()

    async def get(self) -> ReceivedEvent | None:
        """Return the next event, or None when there will be no more. Raises the error that ended the queue."""
        self._has_reader = True
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._has_events.clear()
            await self._has_events.wait()
        self._has_room.set()
        return self._take_oldest()

    def end(self, error: BaseException | None) -> None:
        """End the queue, with an error or without; events that wait can still be read."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._has_events.set()
            self._has_room.set()

    def move(self, channel: str, to: EventQueue) -> None:
        """Move the waiting events of one channel to another queue, which has room for all of them."""
        to._events.extend(event for event in self._events if event.channel == channel)
        self._events = deque(event for event in self._events if event.channel != channel)
        for queue in (self, to):
            queue._size = sum(event.size for event in queue._events)
        self._has_room.set()

    async def _make_room(self) -> None:
        clock = asyncio.get_running_loop().time
        if self._full_since is None:
            self._full_since = clock()
        until = self._full_since + (_MAX_DELAY if self._has_reader else 0.0)
        while self._is_full and not self._ended and clock() < until:
            self._has_room.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._has_room.wait()
            except TimeoutError:
                break
        while self._is_full:
            self._drop_oldest()

    @property
    def _is_full(self) -> bool:
        return len(self._events) >= MAX_WAITING or self._size >= MAX_BYTES

    def _take_oldest(self) -> ReceivedEvent:
        event = self._events.popleft()
        self._size -= event.size
        return event

    def _drop_oldest(self) -> None:
        behind = len(self._events)
        self._take_oldest()
        self.missed += 1
        if self._has_reader and not self._warned:
            self._warned = True
            _log.warning(
                "the reader of %s is %d events behind: the oldest are dropped until it has caught up by half",
                self._of,
                behind,
            )

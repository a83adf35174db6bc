"""Events that wait for their reader: bounded, so that who does not read costs neither memory nor the others' time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from soundpost.client.incoming import Event

_log: Final = logging.getLogger("soundpost.client")
MOST_WAITING: Final = 1_000
"""Events that wait for one reader."""
MOST_BYTES: Final = 16_777_216
"""Bytes of messages that wait for one reader, but for the last of them."""
_PATIENCE: Final = 1.0


class EventQueue:
    """At most 1,000 events, and 16 MiB of them.

    A reader that far behind holds the connection up for a second at most, then loses events.

    That second lets a burst pass through TCP's own flow control to a reader who is merely busy. After it the oldest
    events are dropped, and counted in ``missed``, until the reader has caught up by half. Where nobody has ever read,
    nobody is waited for.
    """

    def __init__(self, of: str) -> None:
        self.missed = 0
        """Events that were dropped."""
        self._of = of
        self._events: deque[Event] = deque()
        self._size = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._has_reader = False
        self._full_since: float | None = None
        self._warned = False
        self._ended = False
        self._error: BaseException | None = None

    async def put(self, event: Event) -> None:
        """Append an event; waits for room, but not for long."""
        if self._ended:
            return
        if self._full_since is not None and len(self._events) <= MOST_WAITING // 2 and self._size <= MOST_BYTES // 2:
            self._full_since = None
            self._warned = False
        if self._is_full:
            await self._make_room()
        self._events.append(event)
        self._size += event.size
        self._some.set()

    async def get(self) -> Event | None:
        """The next event; None when there will be no more. Raises what ended it."""
        self._has_reader = True
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._some.clear()
            await self._some.wait()
        self._room.set()
        return self._take_oldest()

    def end(self, error: BaseException | None) -> None:
        """No more events will come; those that wait can still be read."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._some.set()
            self._room.set()

    def move(self, channel: str, to: EventQueue) -> None:
        """Let the waiting events of one channel wait elsewhere, which has room for all of them."""
        to._events.extend(event for event in self._events if event.channel == channel)
        self._events = deque(event for event in self._events if event.channel != channel)
        for queue in (self, to):
            queue._size = sum(event.size for event in queue._events)
        self._room.set()

    async def _make_room(self) -> None:
        clock = asyncio.get_running_loop().time
        if self._full_since is None:
            self._full_since = clock()
        until = self._full_since + (_PATIENCE if self._has_reader else 0.0)
        while self._is_full and not self._ended and clock() < until:
            self._room.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._room.wait()
            except TimeoutError:
                break
        while self._is_full:
            self._drop_oldest()

    @property
    def _is_full(self) -> bool:
        return len(self._events) >= MOST_WAITING or self._size >= MOST_BYTES

    def _take_oldest(self) -> Event:
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

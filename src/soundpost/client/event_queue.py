"""The bounded queue of events that wait for their reader."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from soundpost.client.gap import OVERFLOW, Gap
from soundpost.client.incoming import ReceivedEvent

_log: Final = logging.getLogger("soundpost.client")
MAX_WAITING: Final = 1_000
"""Events that may wait for one reader."""
MAX_BYTES: Final = 16_777_216
"""Bytes of messages that may wait for one reader, the last message not counted."""
_MAX_DELAY: Final = 1.0
"""Seconds for which a full queue holds up the connection."""

OnRead = Callable[[ReceivedEvent], None]


class _Waiting(NamedTuple):
    event: ReceivedEvent
    on_read: OnRead | None
    """Called when the reader gets the event; None for an event that the server does not send again."""


class EventQueue:
    """A queue of at most 1,000 events, and of 16 MiB of messages.

    A full queue holds up the connection for a second at most: TCP's flow control then spares a busy reader a burst. A
    queue that has never been read holds up nothing. After the second, until half of the queue is read:

    - An event that the server keeps in a history is not taken (:meth:`offer`), and can be asked for again later.
    - Every other event takes the place of the oldest one of its kind. The dropped events are counted in ``missed``, and
      a gap stands where they were.
    """

    def __init__(self, of: str) -> None:
        self.missed = 0
        """Number of events that were dropped."""
        self._of = of
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._overflowed: dict[str, int] = {}
        """Numbers of dropped events by their channels, whose gaps come before all events that wait."""
        self._when_half_empty: dict[Callable[[], None], None] = {}
        self._has_events = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_reader = False
        self._full_since: float | None = None
        self._warned = False
        self._ended = False
        self._error: BaseException | None = None

    async def put(self, event: ReceivedEvent) -> None:
        """Append an event; wait for room in a full queue, for a second at most."""
        await self.wait_for_room()
        self.add(event)

    def add(self, event: ReceivedEvent) -> None:
        """Append an event that the server does not send again; drop the oldest ones of a full queue."""
        if self._ended:
            return
        while self._is_full:
            self._warn("the oldest events are dropped until half of them are read")
            if not self._drop_oldest():
                self._miss(event)
                return
        self._append(_Waiting(event, None))

    def offer(self, events: Sequence[ReceivedEvent], on_read: OnRead) -> bool:
        """Append events that the server can send again; return False, and append none of them, if the queue is full.

        ``on_read`` is called with each event when the reader gets it.
        """
        if self._is_full and not self._ended:
            self._warn("later events come from the history once half of them are read")
            return False
        if not self._ended:
            for event in events:
                self._append(_Waiting(event, on_read))
        return True

    def when_half_empty(self, call: Callable[[], None]) -> None:
        """Call a function once, as soon as half of the queue is free: at once, or after a reader has read."""
        if self._is_half_empty:
            call()
        else:
            self._when_half_empty[call] = None

    async def get(self) -> ReceivedEvent | None:
        """Return the next event, or None when there will be no more. Raises the error that ended the queue."""
        self._has_reader = True
        while not self._waiting and not self._overflowed:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._has_events.clear()
            await self._has_events.wait()
        if self._overflowed:
            channel = next(iter(self._overflowed))
            del self._overflowed[channel]
            return Gap(channel, OVERFLOW)
        event, on_read = self._take(0)
        if on_read is not None:
            on_read(event)
        self._has_room.set()
        self._notify_half_empty()
        return event

    def end(self, error: BaseException | None) -> None:
        """End the queue, with an error or without; events that wait can still be read."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._has_events.set()
            self._has_room.set()

    def move(self, channel: str, to: EventQueue) -> None:
        """Move the waiting events of one channel, and its gap, to another queue, which has room for all of them."""
        to._waiting.extend(each for each in self._waiting if each.event.channel == channel)
        self._waiting = deque(each for each in self._waiting if each.event.channel != channel)
        for queue in (self, to):
            queue._size = sum(each.event.size for each in queue._waiting)
        if channel in self._overflowed:
            number = self._overflowed.pop(channel)
            to._overflowed[channel] = to._overflowed.get(channel, 0) + number
            self.missed -= number
            to.missed += number
        self._has_room.set()
        self._notify_half_empty()

    async def wait_for_room(self) -> None:
        """Wait until a full queue has room: for a second after it became full, and not at all without a reader."""
        if self._full_since is not None and self._is_half_empty:
            self._full_since = None
            self._warned = False
        if not self._is_full or self._ended:
            return
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

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING or self._size >= MAX_BYTES

    @property
    def _is_half_empty(self) -> bool:
        return len(self._waiting) <= MAX_WAITING // 2 and self._size <= MAX_BYTES // 2

    def _append(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._size += waiting.event.size
        self._has_events.set()

    def _take(self, index: int) -> _Waiting:
        waiting = self._waiting[index]
        del self._waiting[index]
        self._size -= waiting.event.size
        return waiting

    def _drop_oldest(self) -> bool:
        """Drop the oldest event that the server does not send again; return False if there is none."""
        for index, waiting in enumerate(self._waiting):
            if waiting.on_read is None:
                self._miss(self._take(index).event)
                return True
        return False

    def _miss(self, event: ReceivedEvent) -> None:
        self.missed += 1
        if event.channel is not None:
            self._overflowed[event.channel] = self._overflowed.get(event.channel, 0) + 1

    def _notify_half_empty(self) -> None:
        if self._when_half_empty and self._is_half_empty:
            calls, self._when_half_empty = self._when_half_empty, {}
            for call in calls:
                call()

    def _warn(self, consequence: str) -> None:
        if self._has_reader and not self._warned:
            self._warned = True
            _log.warning("the reader of %s is %d events behind: %s", self._of, len(self._waiting), consequence)

"""The history of one channel: its last events in memory, oldest first."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import Final

from soundpost.core.history import GapReason, KeptEvent

EVENT_SIZE: Final = 120
"""Bytes of a kept event beside its frame, as counted against the limits of memory."""
CHANNEL_SIZE: Final = 500
"""Bytes of a channel that has kept events beside these, as counted against the limits of memory."""


class ChannelHistory:
    """Kept events of a channel. Offsets are those of the whole history that the channel belongs to."""

    __slots__ = ("age", "due", "events", "floor", "name", "reason", "size")

    def __init__(self, name: str, floor: int, reason: GapReason = "age") -> None:
        self.name = name
        self.events: list[KeptEvent] = []
        self.floor = floor
        """Offset up to which events are not kept any more: whoever had less may have missed something."""
        self.reason: GapReason = reason
        """Reason why the events up to :attr:`floor` are not kept."""
        self.size = 0
        """Bytes that count against the limits of memory."""
        self.age = 0
        """Microseconds that an event is kept."""
        self.due = 0

    @property
    def expires(self) -> int:
        """Return the time at which the oldest event expires, in microseconds since 1970; 0 without an event."""
        return self.events[0].offset + self.age if self.events else 0

    def append(self, event: KeptEvent) -> int:
        """Keep an event; return by how many bytes the history grows."""
        size = len(event.frame) + EVENT_SIZE + (0 if self.events else CHANNEL_SIZE)
        self.events.append(event)
        self.size += size
        return size

    def drop_oldest(self, number: int, reason: GapReason) -> int:
        """Forget the oldest events, at least one; return by how many bytes the history shrinks."""
        if number == 1:  # by far the most often
            last = self.events.pop(0)
            size = len(last.frame) + EVENT_SIZE
        else:
            dropped = self.events[:number]
            del self.events[:number]
            last = dropped[-1]
            size = sum([len(event.frame) for event in dropped]) + EVENT_SIZE * len(dropped)
        self.floor, self.reason = max(self.floor, last.offset), reason
        if not self.events:
            size += CHANNEL_SIZE
        self.size -= size
        return size

    def gap_after(self, offset: int) -> GapReason | None:
        """Return the reason why events after an offset are missing; None if all are here."""
        return self.reason if offset < self.floor else None

    def index_after(self, offset: int) -> int:
        """Return the index of the first event after an offset."""
        if not self.events or self.events[-1].offset <= offset:
            return len(self.events)
        return bisect_right(self.events, offset, key=_offset)


def first_of(events: Iterable[KeptEvent], most: int, max_bytes: int) -> list[KeptEvent]:
    """Return the first events: at most ``most``, and none after ``max_bytes`` of frames are reached."""
    found: list[KeptEvent] = []
    size = 0
    for event in islice(events, most):
        if size >= max_bytes:
            break
        found.append(event)
        size += len(event.frame)
    return found


def _offset(event: KeptEvent) -> int:
    return event.offset

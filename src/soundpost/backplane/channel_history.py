"""The history of one channel: its last events in memory, oldest first."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from soundpost.core.history import GapReason, KeptEvent

OVERHEAD: Final = 120
"""Bytes of a kept event beside its frame, as counted against the limits of memory."""


class ChannelHistory:
    """Kept events of a channel. Offsets are those of the whole history that the channel belongs to."""

    __slots__ = ("age", "events", "floor", "is_queued", "reason", "size")

    def __init__(self, floor: int, reason: GapReason = "age") -> None:
        self.events: list[KeptEvent] = []
        self.floor = floor
        """Offset of the newest event that is forgotten: whoever had less has missed something."""
        self.reason: GapReason = reason
        """Reason why the events up to :attr:`floor` are not kept."""
        self.size = 0
        """Bytes of all kept events."""
        self.age = 0
        """Microseconds that an event is kept."""
        self.is_queued = False
        """True if the channel has a place in the order in which events expire."""

    def append(self, event: KeptEvent) -> int:
        """Keep an event; return its size in bytes."""
        self.events.append(event)
        size = len(event.frame) + OVERHEAD
        self.size += size
        return size

    def drop_oldest(self, number: int, reason: GapReason) -> int:
        """Forget the oldest events; return their size in bytes."""
        dropped = self.events[:number]
        if not dropped:
            return 0
        del self.events[:number]
        self.floor, self.reason = dropped[-1].offset, reason
        size = sum([len(event.frame) for event in dropped]) + OVERHEAD * len(dropped)
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

    def piece(self, start: int, most: int, max_bytes: int) -> list[KeptEvent]:
        """Return events from an index on: at most ``most``, and none after ``max_bytes`` of frames are reached."""
        found: list[KeptEvent] = []
        size = 0
        for event in self.events[start : start + most]:
            if size >= max_bytes:
                break
            found.append(event)
            size += len(event.frame)
        return found


def _offset(event: KeptEvent) -> int:
    return event.offset

"""The history of one channel: its last events in memory, oldest first."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from soundpost.backplane.kept_events import KeptEvents
from soundpost.core.history import GapReason, KeptEvent

CHANNEL_SIZE: Final = 700
"""Bytes of a channel that has kept events beside these, as counted against the limits of memory."""


class ChannelHistory:
    """Kept events of a channel. Offsets are those of the whole history that the channel belongs to."""

    __slots__ = ("age", "due", "events", "floor", "key_id", "name", "reason", "size")

    def __init__(self, name: str, floor: int, reason: GapReason = "age") -> None:
        self.name = name
        self.events = KeptEvents()
        self.floor = floor
        """Offset up to which events are not kept any more. A client with an earlier offset may have missed events."""
        self.reason: GapReason = reason
        """Reason why the events up to :attr:`floor` are not kept."""
        self.size = 0
        """Bytes that count against the limits of memory; 0 without an event."""
        self.age = 0
        """Microseconds that an event is kept."""
        self.due = 0
        self.key_id: str | None = None
        """Id of the key that encrypted the events; None if no publisher named one."""

    @property
    def expires(self) -> int:
        """The time at which the oldest event expires, in microseconds since 1970; 0 without an event."""
        return self.events.first_offset + self.age if self.events else 0

    def append(self, event: KeptEvent, max_events: int) -> tuple[int, int]:
        """Keep an event, and ``max_events`` in all; return by how many bytes and events the history grows."""
        events = self.events
        growth = events.append(event)
        if not self.size:
            growth += CHANNEL_SIZE
        surplus = len(events) - max_events
        if surplus > 0:
            self.floor, removed = events.drop_first(surplus)
            self.reason = "number"
            growth -= removed
        else:
            surplus = 0
        self.size += growth
        return growth, 1 - surplus

    def replace_frame(self, index: int, frame: bytes) -> int:
        """Give an event another frame; return by how many bytes the history grows."""
        growth = self.events.replace_frame(index, frame)
        self.size += growth
        return growth

    def drop_oldest(self, number: int, reason: GapReason) -> int:
        """Forget the oldest events, at least one; return by how many bytes the history shrinks."""
        offset, size = self.events.drop_first(number)
        if offset > self.floor:
            self.floor = offset
        self.reason = reason
        if self.size == size + CHANNEL_SIZE:  # no event is left
            size += CHANNEL_SIZE
        self.size -= size
        return size

    def gap_after(self, offset: int) -> GapReason | None:
        """Return the reason why events after an offset are missing; None if all are here."""
        return self.reason if offset < self.floor else None

    def index_after(self, offset: int) -> int:
        """Return the index of the first event after an offset."""
        return self.events.index_after(offset)


def first_of(events: Iterable[KeptEvent], max_events: int, max_bytes: int) -> list[KeptEvent]:
    """Return the first events: at most ``max_events``, and none after ``max_bytes`` of frames are reached."""
    found: list[KeptEvent] = []
    size = 0
    for event in islice(events, max_events):
        if size >= max_bytes:
            break
        found.append(event)
        size += len(event.frame)
    return found

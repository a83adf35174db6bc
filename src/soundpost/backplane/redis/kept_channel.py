"""The history of a channel on this host: what this host has delivered of it, and how far that goes.

Whatever a subscriber reads ends where this host has delivered; later events reach it as they are delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from soundpost.backplane.channel_history import ChannelHistory, first_of
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history import GapReason, HistoryPage, HistoryState, KeptEvent
from soundpost.wire.positions import parse_position, position_of

MICROSECONDS: Final = 1_000_000


class KeptChannel:
    """The history of one channel that has subscribers on this host."""

    __slots__ = ("gap", "generation", "last", "new_after", "reading", "ring", "rule", "unplaced", "when_read")

    def __init__(self, name: str, rule: HistorySettings) -> None:
        self.rule = rule
        self.generation = ""
        """Generation of :attr:`last` and :attr:`ring`; empty until Redis has answered."""
        self.last = 0
        """Offset up to which this host has delivered everything."""
        self.new_after = 0
        """Offset up to which events are not new to the subscribers, who came while Redis was away."""
        self.ring = ChannelHistory(name, 0)
        """Events that this host has delivered, or read on behalf of its first subscriber."""
        self.unplaced: dict[str, KeptEvent] = {}
        """Events that this host gave to its clients without a position, by id, until Redis has placed them."""
        self.reading = True
        """True while events are read from Redis. Events that arrive meanwhile on the topic are in the answer."""
        self.when_read: Callable[[], None] | None = None
        """Called when everything is read that is read now."""
        self.gap: GapReason | None = None
        """Reason of a gap that subscribers are still to be told of."""

    @property
    def head(self) -> str:
        """The position behind everything that this host has delivered."""
        return f"{self.generation}.{self.last}"

    def begin(self, generation: str, offset: int) -> None:
        """Continue at an offset, without the events before that."""
        self.generation, self.last = generation, offset
        self.ring = ChannelHistory(self.ring.name, offset)

    def drop_expired(self, now: int) -> int:
        """Forget events that are too old at a time in microseconds; return their bytes."""
        ring = self.ring
        if not ring.events or ring.events.first_offset > now - self.rule.age * MICROSECONDS:
            return 0
        return ring.drop_oldest(ring.index_after(now - self.rule.age * MICROSECONDS), "age")

    def covers(self, generation: str, offset: int, top: int) -> bool:
        """Return whether all events after a place are here. ``top``: offset up to which Redis has told everything."""
        return generation == self.generation and self.ring.floor <= offset <= max(self.last, top)

    # Answers to subscribers

    def following(self, offset: int) -> int:
        """Return the number of events here that a subscriber is given after an offset."""
        return len(self.ring.events) - self.ring.index_after(offset) + len(self.unplaced)

    def fresh(self, gap: GapReason | None) -> HistoryState:
        """Return the place of a subscriber who begins with new events and with events that have no position yet."""
        return HistoryState(self.head, gap, 0 if gap == "limited" else len(self.unplaced))

    def before_last(self, cached: bytes | None) -> int | None:
        """Return the offset before a cache channel's last event; None if that is not of this history."""
        last = None if cached is None else position_of(cached)
        if last is None:
            return None
        position = parse_position(last)
        return position.offset - 1 if position.generation == self.generation else None

    def rewound(self, number: int) -> HistoryState:
        """Return the place of a subscriber who wants the last events first. The ring must have that many events."""
        first = self.ring.events[-number]
        return HistoryState(f"{self.generation}.{first.offset - 1}", None, self.following(first.offset - 1))

    def page(self, offset: int, max_events: int, max_bytes: int) -> HistoryPage:
        """Return events after an offset that the ring covers; with the last of them come those without a position."""
        start = self.ring.index_after(offset)
        events = first_of(self.ring.events[start : start + max_events], max_events, max_bytes)
        if start + len(events) < len(self.ring.events):
            return HistoryPage(f"{self.generation}.{events[-1].offset}", events, False)
        return HistoryPage(f"{self.generation}.{max(self.last, offset)}", events + self.without_place(), True)

    def page_of(self, events: list[KeptEvent], after: int, more: bool, top: int) -> HistoryPage:
        """Return the page of events that Redis has after an offset; ``more``: Redis has still more of them.

        ``top``: offset up to which Redis had nothing else.
        """
        delivered = [event for event in events if event.offset <= self.last]
        if len(delivered) < len(events):  # the rest is delivered to everybody
            return HistoryPage(self.head, delivered + self.without_place(), True)
        behind = events[-1].offset if events else after
        if more or max(behind, top) < self.ring.floor or self.ring.index_after(behind) < len(self.ring.events):
            return HistoryPage(f"{self.generation}.{behind}", delivered, False)
        return HistoryPage(f"{self.generation}.{max(self.last, behind)}", delivered + self.without_place(), True)

    def without_place(self) -> list[KeptEvent]:
        """Return the events that have no position yet."""
        return list(self.unplaced.values())

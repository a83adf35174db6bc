"""The order that a channel's authority gave to its events, as far as anybody was told a position."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple


class Place(NamedTuple):
    """A position in comparable form: the generation's number in order of time, and the offset."""

    generation: int
    offset: int


class Order:
    """All events of a channel that have a position, in order. ``faults`` are contradictions, in words.

    A *slot* is an event at a position. Slots are counted from 0 over all generations.
    """

    def __init__(self, channel: str, seen: Iterable[tuple[float, str, str]]) -> None:
        """Take what was seen: when, the position, and the event there; empty for a position without an event."""
        self.channel = channel
        self.faults: list[str] = []
        self._numbers: dict[str, int] = {}
        events: dict[str, str] = {}
        for _, position, event in sorted(seen):
            generation = position.rpartition(".")[0]
            self._numbers.setdefault(generation, len(self._numbers))
            if not event:
                continue
            known = events.setdefault(position, event)
            if known != event:
                self.faults.append(f"{channel}: {position} is both {known} and {event}")
        found = sorted((self.place(position), event) for position, event in events.items())
        self.events = [event for _, event in found]
        self.places = [place for place, _ in found]
        self.slots = {place: slot for slot, place in enumerate(self.places)}
        self.slots_of: dict[str, list[int]] = {}
        """An event has one slot, or one in each of several generations if its publisher repeated it."""
        for slot, event in enumerate(self.events):
            self.slots_of.setdefault(event, []).append(slot)
        for event, slots in self.slots_of.items():
            if len({self.places[slot].generation for slot in slots}) < len(slots):
                self.faults.append(f"{channel}: {event} has {len(slots)} positions")

    @property
    def generations(self) -> int:
        """How many generations were seen."""
        return len(self._numbers)

    def place(self, position: str) -> Place:
        """A position in comparable form. Raises KeyError for a generation that was not seen."""
        generation, _, offset = position.rpartition(".")
        return Place(self._numbers[generation], int(offset))

    def after(self, place: Place) -> int:
        """The first slot that comes after a place."""
        return bisect_right(self.places, place)

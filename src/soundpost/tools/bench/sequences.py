"""What one subscription got of what it should have got: lost, double and out of order events, by their numbers.

Events come in *streams*: those one publishing connection sends to one channel, each when the one before has been
answered. Within a stream, numbers go up by one; between streams, no order is promised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

Stream = int
_MAX_MISSING: Final = 1_000
"""Gaps of one subscription that are remembered in case the events still come; older ones count as lost for good."""


class Sequences:
    """The numbers seen on one subscription. ``from_start``: it is to get all events, from number 0.

    One that comes later (or comes back) is held to account from its first event of a stream on.
    """

    __slots__ = ("_from_start", "_given_up", "_missing", "_next", "duplicates", "out_of_order", "received")

    def __init__(self, *, from_start: bool) -> None:
        self._from_start = from_start
        self._next: dict[Stream, int] = {}
        self._missing: dict[tuple[Stream, int], int] = {}  # to the second in which the loss showed
        self._given_up: Counter[int] = Counter()
        self.received = 0
        self.duplicates = 0
        self.out_of_order = 0

    def take(self, stream: Stream, number: int, second: int) -> bool:
        """Note event ``number`` of ``stream``, sent in ``second`` of the run; False if it came before."""
        expected = self._next.get(stream)
        if expected is None:
            expected = 0 if self._from_start else number
        if number == expected:
            self._next[stream] = number + 1
        elif number > expected:
            self._skip(stream, expected, number, second)
            self._next[stream] = number + 1
        elif self._missing.pop((stream, number), None) is None:
            self.duplicates += 1
            return False
        else:
            self.out_of_order += 1
        self.received += 1
        return True

    def _skip(self, stream: Stream, first: int, number: int, second: int) -> None:
        start = max(first, number - _MAX_MISSING)
        self._given_up[second] += start - first
        for skipped in range(start, number):
            self._missing[stream, skipped] = second
        while len(self._missing) > _MAX_MISSING:
            self._given_up[self._missing.pop(next(iter(self._missing)))] += 1

    def gaps(self, unconfirmed: Mapping[Stream, Collection[int]]) -> Counter[int]:
        """How many events are missing between those that came, by the second in which it showed.

        ``unconfirmed`` are numbers the server has not said yes to: nobody is to expect them.
        """
        lost = Counter({second: count for second, count in self._given_up.items() if count})
        for (stream, number), second in self._missing.items():
            if number not in unconfirmed.get(stream, ()):
                lost[second] += 1
        return lost

    def missing_at_end(self, stream: Stream, sent: int, unconfirmed: Collection[int]) -> int:
        """How many of the ``sent`` events of a stream are missing after the last one that came."""
        first = self._next.get(stream, 0)
        return max(0, sent - first) - sum(first <= number < sent for number in unconfirmed)

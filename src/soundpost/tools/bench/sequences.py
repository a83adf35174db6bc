"""Lost, duplicate and out of order events of one subscription, found by their numbers.

Events come in *streams*: those one publishing connection sends to one channel, each when the one before has been
answered. Within a stream, numbers go up by one; between streams, no order is promised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

Stream = int
_MAX_MISSING: Final = 1_000
"""Gaps remembered for each subscription in case the events still come; older gaps are lost for good."""


class Sequences:
    """Numbers seen on one subscription. ``from_start``: all events from number 0 are expected.

    A later subscription expects the events after its first one of each stream.
    """

    __slots__ = ("_from_start", "_given_up", "_missing", "_next", "duplicates", "out_of_order", "received")

    def __init__(self, *, from_start: bool) -> None:
        self._from_start = from_start
        self._next: dict[Stream, int] = {}
        self._missing: dict[tuple[Stream, int], int] = {}  # by event the second in which the gap showed
        self._given_up: Counter[int] = Counter()
        self.received = 0
        self.duplicates = 0
        self.out_of_order = 0

    def add(self, stream: Stream, number: int, second: int) -> bool:
        """Record event ``number`` of ``stream``, sent in ``second`` of the run; return False for a duplicate."""
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

    def has(self, stream: Stream, number: int) -> bool:
        """Return whether an event has come, as far as it is not in a gap that is lost for good."""
        return number < self._next.get(stream, 0) and (stream, number) not in self._missing

    def _skip(self, stream: Stream, first: int, number: int, second: int) -> None:
        start = max(first, number - _MAX_MISSING)
        self._given_up[second] += start - first
        for skipped in range(start, number):
            self._missing[stream, skipped] = second
        while len(self._missing) > _MAX_MISSING:
            self._given_up[self._missing.pop(next(iter(self._missing)))] += 1

    def gaps(self, unconfirmed: Mapping[Stream, Collection[int]]) -> Counter[int]:
        """Return the number of events missing before the last one of their stream, by the second of the gap.

        ``unconfirmed`` are numbers for which the server has not answered 200: they are not expected.
        """
        lost = Counter({second: count for second, count in self._given_up.items() if count})
        for (stream, number), second in self._missing.items():
            if number not in unconfirmed.get(stream, ()):
                lost[second] += 1
        return lost

    def missing_at_end(self, stream: Stream, sent: int, unconfirmed: Collection[int]) -> int:
        """Return how many of the ``sent`` events of a stream are missing after the last one that came."""
        first = self._next.get(stream, 0)
        return max(0, sent - first) - sum(first <= number < sent for number in unconfirmed)

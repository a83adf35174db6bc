"""Deadlines of keys, the soonest first, that may be taken back at any time."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=tuple[str, str])

_FEW_VOID: Final = 1_000
"""Number of void places that may stay, beside as many as there are keys."""
_AT_ONCE: Final = 4
"""Places that are sorted anew for each deadline that is set: a whole heap of 100,000 takes 100 ms and more."""
_MAX_VOID: Final = 500
"""Void places that are dropped in one call, which takes less than a millisecond."""


class Deadlines(Generic[Key]):
    """The deadlines of keys, in the units of some clock. A key that is set again has the new deadline only."""

    def __init__(self) -> None:
        self._until: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []  # places; those whose deadline is not in _until are void
        self._former: list[tuple[float, Key]] = []  # a heap with many void places, which is emptied little by little

    def __len__(self) -> int:
        return len(self._until)

    @property
    def places(self) -> int:
        """Number of kept places, including void ones."""
        return len(self._heap) + len(self._former)

    def get(self, key: Key) -> float | None:
        """Return the deadline of a key; None if it has none."""
        return self._until.get(key)

    def items(self) -> Iterable[tuple[Key, float]]:
        """Return all keys with their deadlines."""
        return self._until.items()

    def set(self, key: Key, until: float) -> None:
        """Give a key a deadline, in place of the one that it has."""
        if self._until.get(key) == until:
            return
        self._until[key] = until
        heappush(self._heap, (until, key))
        if not self._former and len(self._heap) > 2 * len(self._until) + _FEW_VOID:
            self._former, self._heap = self._heap, []
        for _ in range(min(_AT_ONCE, len(self._former))):
            place = self._former.pop()  # without its last place a heap is still one
            if self._until.get(place[1]) == place[0]:
                heappush(self._heap, place)

    def discard(self, key: Key) -> None:
        """Take back the deadline of a key, if it has one."""
        self._until.pop(key, None)

    def first(self) -> tuple[float, Key] | None:
        """Return the soonest deadline and its key; None if there is none. Behind many void places it is a void one."""
        left = _MAX_VOID
        for heap in (self._heap, self._former):
            while heap and left and self._until.get(heap[0][1]) != heap[0][0]:
                heappop(heap)
                left -= 1
        return min([heap[0] for heap in (self._heap, self._former) if heap], default=None)

    def pop_due(self, now: float) -> Key | None:
        """Remove and return the key with the soonest deadline if the deadline is over; else None.

        The result is also None after many void entries: then :meth:`first` is not after ``now``.
        """
        first = self.first()
        if first is None or first[0] > now or self._until.get(first[1]) != first[0]:
            return None
        del self._until[first[1]]
        return first[1]

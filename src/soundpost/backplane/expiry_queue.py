"""A queue of things that expire, the soonest first, whose times change while they wait."""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from itertools import count
from math import inf
from typing import Generic, Protocol, TypeVar


class Expiring(Protocol):
    """A thing that expires, in the units of some clock."""

    due: int
    """Time by which the thing has its place in the queue; 0 without a place. Written by the queue alone."""

    @property
    def expires(self) -> int:
        """The time at which the thing expires; 0 if it does not expire."""


T = TypeVar("T", bound=Expiring)


class ExpiryQueue(Generic[T]):
    """Things in the order in which they expire. A time that has become later is noticed when its turn comes."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, T]] = []
        self._numbers = count()
        self.first_due: int | float = inf
        """Time before which nothing expires."""

    def __len__(self) -> int:
        """Return the number of places, those included that are out of date."""
        return len(self._heap)

    def note(self, thing: T) -> bool:
        """Give a thing its place, unless it has one that is early enough; return whether it got another one."""
        expires = thing.expires
        if not expires or (thing.due and thing.due <= expires):
            return False
        thing.due = expires
        heappush(self._heap, (expires, next(self._numbers), thing))
        self.first_due = self._heap[0][0]
        return True

    def soonest(self, by: float = inf, max_outdated: float = inf) -> T | None:
        """Return what expires first, if it does so up to the time ``by``; else None.

        At most ``max_outdated`` entries that are out of date are put right. If there are more the answer is None too,
        and :attr:`first_due` is not after ``by``.
        """
        heap = self._heap
        while heap and heap[0][0] <= by and max_outdated > 0:
            due, _, thing = heap[0]
            expires = thing.expires
            if thing.due == due == expires:
                self.first_due = due
                return thing
            max_outdated -= 1
            if thing.due != due:  # the entry has another place in the heap
                heappop(heap)
            elif not expires:
                thing.due = 0
                heappop(heap)
            else:
                thing.due = expires
                heapreplace(heap, (expires, next(self._numbers), thing))
        self.first_due = heap[0][0] if heap else inf
        return None

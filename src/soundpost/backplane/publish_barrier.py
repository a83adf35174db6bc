"""Who waits until everything that was published before is in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Settling:
    """How many events were published, how many of them were answered, and who waits for as many answers.

    Answers come in the order of the events, but for those of several servers of a Redis Cluster: there a publisher may
    be answered a moment early.
    """

    __slots__ = ("_answered", "_published", "_waiting")

    def __init__(self) -> None:
        self._published = 0
        self._answered = 0
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def begin(self) -> None:
        """Something was published."""
        self._published += 1

    def end(self) -> None:
        """It is in order, or never will be."""
        self._answered += 1
        while self._waiting and self._waiting[0][0] <= self._answered:
            self._waiting.popleft()[1]()

    def wait(self, then: Callable[[], None]) -> None:
        """Call back once everything up to now is; at once if it is already."""
        if self._answered == self._published:
            then()
        else:
            self._waiting.append((self._published, then))

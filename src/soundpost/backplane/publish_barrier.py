"""Callbacks that wait until all events published so far have their place in the order of all nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class PublishBarrier:
    """Counts published and acknowledged events, and calls back when all earlier events are acknowledged.

    Acknowledgements come in the order of the events, except from several servers of a Redis Cluster: there a callback
    may come a moment early.
    """

    __slots__ = ("_acknowledged", "_published", "_waiting")

    def __init__(self) -> None:
        self._published = 0
        self._acknowledged = 0
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    @property
    def is_settled(self) -> bool:
        """True if every event published so far is acknowledged."""
        return self._acknowledged == self._published

    def begin(self) -> None:
        """Count a published event."""
        self._published += 1

    def end(self) -> None:
        """Count an acknowledged event: it is in order, or waits for hosts that cannot be reached."""
        self._acknowledged += 1
        while self._waiting and self._waiting[0][0] <= self._acknowledged:
            self._waiting.popleft()[1]()

    def wait(self, then: Callable[[], None]) -> None:
        """Call back once every event published so far is acknowledged; at once if all are."""
        if self.is_settled:
            then()
        else:
            self._waiting.append((self._published, then))

"""Who waits until everything that was published before is in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Settling:
    """Numbers of publications without an answer, and who waits for those up to a number."""

    def __init__(self) -> None:
        self._last = 0  # begun
        self._open: dict[int, None] = {}  # in order
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def begin(self, number: int) -> None:
        """Something was published; numbers grow."""
        self._last = number
        self._open[number] = None

    def end(self, number: int) -> None:
        """It is in order, or never will be."""
        del self._open[number]
        while self._waiting and self._is_settled(self._waiting[0][0]):
            self._waiting.popleft()[1]()

    def wait(self, then: Callable[[], None]) -> None:
        """Call back once everything up to now is; at once if nothing is open."""
        if self._open:
            self._waiting.append((self._last, then))
        else:
            then()

    def _is_settled(self, number: int) -> bool:
        return not self._open or next(iter(self._open)) > number

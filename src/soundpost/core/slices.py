"""Work on very many items, for some milliseconds in each loop turn, so that the loop can do other work in between."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from soundpost.core.outbox import CallSoon

T = TypeVar("T")
log = logging.getLogger("soundpost.node")

TURN: Final = 0.002
"""Seconds of a loop turn."""


def in_slices(
    items: Iterable[T],
    work: Callable[[T], None],
    call_soon: CallSoon,
    *,
    then: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Do the work on each item in order, then call back; the first slice is done before the function returns.

    ``items`` is a list, or an iterator that tolerates changes of its source. ``clock`` is in seconds.
    """
    left = iter(items)

    def go_on() -> None:
        until = clock() + TURN
        for item in left:
            work(item)
            if clock() >= until:
                call_soon(go_on)
                return
        then()

    go_on()


class SliceQueue:
    """Work on lists of items, one list after the other, for some milliseconds in each loop turn.

    An item whose work fails is logged; the work on other items continues. ``call_soon`` is the loop's, ``clock`` is in
    seconds.
    """

    def __init__(self, call_soon: CallSoon, clock: Callable[[], float] = time.perf_counter) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()  # the first list is the one in progress

    def add(self, items: Iterable[T], work: Callable[[T], None], *, then: Callable[[], None]) -> None:
        """Do the work on each item in order, behind all lists added before, then call back.

        If nothing waits, a first slice is done before the method returns. ``items`` must not change meanwhile.
        """

        def begin() -> None:
            in_slices(items, do, self._call_soon, then=end, clock=self._clock)

        def do(item: T) -> None:
            try:
                work(item)
            except Exception:
                log.exception("an item of a list could not be handled")

        def end() -> None:
            self._waiting.popleft()
            if self._waiting:
                self._call_soon(self._waiting[0])
            then()

        self._waiting.append(begin)
        if len(self._waiting) == 1:
            begin()


def in_parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield a sequence in parts of a size. Each part is made when it is needed.

    If all parts were made at once, the garbage collector would have to follow their references in one loop turn.
    """
    for at in range(0, len(items), size):
        yield items[at : at + size]


class TurnBudget:
    """Milliseconds of each loop turn for work of one kind; work that does not fit waits for a later turn, in order.

    ``call_soon`` is the loop's, ``clock`` is in seconds.
    """

    def __init__(self, call_soon: CallSoon, clock: Callable[[], float] = time.perf_counter) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._until: float | None = None  # None before the first work of a turn

    @property
    def is_behind(self) -> bool:
        """True if work waits."""
        return bool(self._waiting)

    def do(self, work: Callable[[], None]) -> None:
        """Do some work now, or in a later turn."""
        if self._has_time():
            work()
        else:
            self._waiting.append(work)

    def each(self, items: Iterable[T], work: Callable[[T], None], *, then: Callable[[], None] = lambda: None) -> None:
        """Do the work on each item in order, then call back. Other work of this kind is done in between.

        ``items`` is a list, or an iterator that tolerates changes of its source.
        """
        left = iter(items)

        def go_on() -> None:
            for item in left:
                work(item)
                if not self._has_time():
                    self._waiting.append(go_on)
                    return
            then()

        self.do(go_on)

    def _has_time(self) -> bool:
        """Return True if nothing waits and the loop turn has time left."""
        if self._until is None:
            self._until = self._clock() + TURN
            self._call_soon(self._next_turn)
            return True
        return not self._waiting and self._clock() < self._until

    def _next_turn(self) -> None:
        self._until = None
        waiting = self._waiting
        if not waiting:
            return
        self._until = until = self._clock() + TURN
        self._call_soon(self._next_turn)
        while waiting:
            waiting.popleft()()
            if self._clock() >= until:
                return

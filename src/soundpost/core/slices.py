"""Work on very many things, for some milliseconds in each loop turn: the loop does other work in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from soundpost.core.outbox import CallSoon

T = TypeVar("T")

TURN: Final = 0.004
"""Seconds of a loop turn."""


def in_slices(
    things: Iterable[T],
    work: Callable[[T], None],
    call_soon: CallSoon,
    *,
    then: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Do the work on each thing, in order; then call back. The first slice is done before this returns.

    ``things`` must stay as they are meanwhile, so give a list of what may change. ``clock`` is in seconds.
    """
    left = iter(things)

    def go_on() -> None:
        until = clock() + TURN
        for thing in left:
            work(thing)
            if clock() >= until:
                call_soon(go_on)
                return
        then()

    go_on()

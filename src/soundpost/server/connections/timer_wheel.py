"""A timer wheel: one timer for all connections, with slots of one second.

A timer per connection would cost more memory than the connection; a wheel costs a set entry. Seconds are exact enough,
as the protocol's shortest interval is ten seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from soundpost.backplane.slices import at_once
from soundpost.core.outbox import CallSoon
from soundpost.core.slices import in_slices

SLOTS: Final = 128


class Timed(Protocol):
    """An object with a timeout."""

    slot: int
    """The slot of the wheel, for the wheel's own use; -1 without a timeout."""

    def on_time(self, now: int) -> int:
        """Do what is due; return the seconds until the next call, 0 for none."""


class TimerWheel:
    """A wheel that calls ``on_time`` of each object when its timeout is over. ``now`` counts seconds.

    ``call_soon`` is the loop's: very many clients that have connected at once are pinged at once too, 10,000 in 50 ms.
    """

    def __init__(self, call_soon: CallSoon = at_once) -> None:
        self._call_soon = call_soon
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self.now = 0
        self._slots: list[set[Timed]] = [set() for _ in range(SLOTS)]

    def add(self, timed: Timed, seconds: int) -> None:
        """Set or change the timeout of an object; a timeout of more than 127 s ends early."""
        if timed.slot >= 0:
            self._slots[timed.slot].discard(timed)
        if seconds < 1:
            seconds = 1
        elif seconds >= SLOTS:
            seconds = SLOTS - 1
        timed.slot = slot = (self.now + seconds) % SLOTS
        self._slots[slot].add(timed)

    def remove(self, timed: Timed) -> None:
        """Cancel an object's timeout."""
        slot = timed.slot
        if slot >= 0:
            self._slots[slot].discard(timed)
            timed.slot = -1

    def tick(self) -> None:
        """Advance by a second, and call due objects, for some milliseconds in each loop turn."""
        self.now += 1
        index = self.now % SLOTS
        due, self._slots[index] = self._slots[index], set()

        def call(timed: Timed) -> None:
            if timed.slot != index:
                return  # removed by an object called before it, or meanwhile
            timed.slot = -1
            again = timed.on_time(self.now)
            if again:
                self.add(timed, again)

        if due:
            in_slices(due, call, self._call_soon, clock=self.turn_clock)

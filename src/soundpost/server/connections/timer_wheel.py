"""One timer for all connections: a wheel of one-second slots.

A timer per connection would cost more memory than the connection; here it costs a set entry. Seconds are exact
enough: the shortest interval the protocol knows is ten of them.
"""

from __future__ import annotations

from typing import Final, Protocol

SLOTS: Final = 128


class Timed(Protocol):
    """Something that wants to be looked at from time to time."""

    slot: int
    """The wheel's own note of where it is; -1: nowhere."""

    def on_time(self, now: int) -> int:
        """Look at it; return in how many seconds to look again, 0 for never."""


class TimerWheel:
    """Calls ``on_time`` of what was added, about when it asked for it. ``now`` counts seconds."""

    def __init__(self) -> None:
        self.now = 0
        self._slots: list[set[Timed]] = [set() for _ in range(SLOTS)]

    def add(self, timed: Timed, seconds: int) -> None:
        """Look at something in so many seconds; longer ones than a turn of the wheel are looked at earlier."""
        if timed.slot >= 0:
            self._slots[timed.slot].discard(timed)
        timed.slot = (self.now + max(1, min(seconds, SLOTS - 1))) % SLOTS
        self._slots[timed.slot].add(timed)

    def remove(self, timed: Timed) -> None:
        """Forget something."""
        if timed.slot >= 0:
            self._slots[timed.slot].discard(timed)
            timed.slot = -1

    def tick(self) -> None:
        """A second has passed."""
        self.now += 1
        index = self.now % SLOTS
        due, self._slots[index] = self._slots[index], set()
        for timed in due:
            if timed.slot != index:
                continue  # removed by one looked at before it
            timed.slot = -1
            again = timed.on_time(self.now)
            if again:
                self.add(timed, again)

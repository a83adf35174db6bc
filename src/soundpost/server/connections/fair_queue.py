"""Fair queueing of clients' input: each connection gets a small slice of work, in turn (round robin).

A client may send more in one read than the loop can handle in a second. Input beyond a slice waits, with reading
paused, so that all other clients are served in between.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

log = logging.getLogger("soundpost.server")

SLICE: Final = 8
"""Frames or requests of one connection that are handled before others have their turn."""
LARGE_READ: Final = 65_536
"""Bytes of a read after which more is likely in the same loop turn: libuv reads a socket up to 32 times a turn, 256 kB
each."""
_TURN: Final = 0.002
"""Seconds of a loop turn that work from this queue may take, and as many that what comes in the turn may take."""


class QueuedConnection(Protocol):
    """A connection with input that is still to be handled."""

    def work(self) -> None:
        """Handle a slice of the input; queue again if more is left."""

    def abort(self) -> None:
        """Drop the connection."""


class FairQueue:
    """A queue of connections with work left, served a slice each, for 2 ms a loop turn. ``clock`` in seconds."""

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], object], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._waiting: deque[QueuedConnection] = deque()
        self._first: list[Callable[[], None]] = []
        self._deadline = 0.0  # of what comes in a turn
        self._turn_has_begun = False  # for what comes
        self._is_scheduled = False  # _serve, for the next turn

    def __len__(self) -> int:
        """Return the number of connections that wait."""
        return len(self._waiting)

    def has_time(self) -> bool:
        """Return True if new work can begin in this loop turn; False if it has to queue.

        New work has a time of its own, beside the queue's: a client that sends little does not wait for those that send
        much.
        """
        # The deadline of an earlier turn is good for later ones, until it is over: most turns need no callback that
        # tells their end. A callback takes the loop as long as the JSON of a client event.
        now = self._clock()
        if now < self._deadline:
            return True
        if self._turn_has_begun:
            return False
        self._turn_has_begun = True
        self._deadline = now + _TURN
        self._schedule()
        return True

    def call_first(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn, before the queue is served; :meth:`has_time` tells the callback of that turn."""
        self._first.append(callback)
        self._schedule()

    def add(self, connection: QueuedConnection) -> None:
        """Queue a connection with work left; it must not be queued already."""
        self._waiting.append(connection)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._serve)

    def _serve(self) -> None:
        """Serve the queue in a turn of its own, after what was read in this one."""
        self._turn_has_begun = self._is_scheduled = False
        waiting = self._waiting
        if waiting:
            self._schedule()
        if self._first:
            first, self._first = self._first, []
            for callback in first:
                try:
                    callback()
                except Exception:
                    log.exception("new work could not be begun")
        if not waiting:
            return
        until = self._clock() + _TURN
        while waiting:
            connection = waiting.popleft()
            try:
                connection.work()
            except Exception:
                log.exception("a connection is dropped: what it sent could not be handled")
                connection.abort()
            if self._clock() >= until:
                return

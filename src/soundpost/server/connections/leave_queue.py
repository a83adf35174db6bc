"""Removal of closed connections from the node, some in each loop turn."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from soundpost.core.connection import Connection
from soundpost.core.outbox import CallLater
from soundpost.core.subscriptions import leave_some

log = logging.getLogger("soundpost.server")

_TURN: Final = 0.002
"""Seconds of a loop turn in which connections leave."""
_AT_ONCE: Final = 16
"""Number of channels to leave between two looks at the clock, and at least in each loop turn, which cannot close more
connections one by one. Each takes 10 µs, over Redis 100 µs."""
_PAUSE: Final = 0.005
"""Seconds between two turns while the others are behind: then as few as possible leave in each."""


class LeaveQueue:
    """Connections that are closed, in the order in which they were.

    A connection never leaves the node in the loop turn that closed it, when a delivery may be under way. Thousands that
    are cut off at one moment leave within 2 ms of each of the next turns: with webhooks 1,000 of them take 20 ms.
    Over Redis they leave as fast as Redis answers. A leave waits for its answer with some ten objects, and one garbage
    collection looks at the objects of all that wait, which took 50 ms and more.

    ``call_soon`` and ``call_later`` are the loop's, ``is_behind`` tells whether very many answers are due, ``clock`` is
    in seconds.
    """

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        call_later: CallLater,
        is_behind: Callable[[], bool],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._call_soon = call_soon
        self._call_later = call_later
        self._is_behind = is_behind
        self._clock = clock
        self._waiting: deque[tuple[Connection, int | None]] = deque()

    def __len__(self) -> int:
        """Return the number of connections that have not left yet."""
        return len(self._waiting)

    def add(self, connection: Connection, code: int | None) -> None:
        """Queue a connection to leave. ``code`` is the close frame's; None for a connection lost without one."""
        if not self._waiting:
            self._call_soon(self._leave)
        self._waiting.append((connection, code))

    def _leave(self) -> None:
        waiting, deadline = self._waiting, self._clock() + _TURN
        left = 0
        while waiting:
            if left >= _AT_ONCE:
                if self._clock() >= deadline or self._is_behind():
                    break
                left = 0
            connection, code = waiting[0]
            channels = len(connection.channels)
            left += channels or 1
            try:
                if channels > _AT_ONCE:
                    leave_some(connection, _AT_ONCE)
                    continue
                waiting.popleft()
                connection.app.node.closed(connection, code)
            except Exception:
                log.exception("socket %s could not leave all of its channels", connection.socket_id)
        if waiting and self._is_behind():
            self._call_later(_PAUSE, self._leave)
        elif waiting:
            self._call_soon(self._leave)

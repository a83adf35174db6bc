"""Events on their way to Redis; while it is away they wait, up to a number of bytes and an age.

What was sent and not answered when Redis went away is sent again, under its number, by which the other nodes know what
they had already. Nothing is sent before the other nodes are back on their topics: it would be lost to them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import hiredis

log = logging.getLogger("soundpost.redis")

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_AGE: Final = 300.0
"""Seconds after which an event is not worth delivering any more."""

Command = tuple[str | bytes | int, ...]
Make = Callable[[], Command]
"""Makes a command when it is sent: how to publish depends on the server."""
Send = Callable[[bytes, Command, Callable[[Any], None]], None]
"""Send a command to where a bucket is; the answer, or a ConnectionError, comes later."""


class _Waiting(NamedTuple):
    number: int
    since: float
    bucket: bytes
    make: Make
    size: int


class Outbox:
    """Call :meth:`open` when events can flow, :meth:`shut` when they cannot. ``clock`` in seconds."""

    def __init__(self, send: Send, clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._number = 0
        self._size = 0
        self.flows = False
        self.lost = self._lost_before = 0
        """Events that grew too old or were too many."""

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, bucket: bytes, make: Make, size: int, then: Callable[[bool], None]) -> None:
        """Send an event of so many bytes. ``then`` is told whether Redis has it; if not it waits."""
        self._number += 1
        self._pass_on(_Waiting(self._number, self._clock(), bucket, make, size), then)

    def _pass_on(self, event: _Waiting, then: Callable[[bool], None]) -> None:
        if not self.flows:
            self._keep(event)
            then(False)
            return

        def answered(answer: Any) -> None:
            if isinstance(answer, hiredis.ReplyError):
                log.error("Redis refuses an event: %s", answer)
            if isinstance(answer, Exception):
                self._keep(event)
            then(not isinstance(answer, Exception))

        self._send(event.bucket, event.make(), answered)

    def shut(self) -> None:
        """Events wait from now on."""
        self.flows = False

    def open(self) -> None:
        """Send what waits, oldest first, and then everything at once."""
        self.flows = True
        # What was sent and not answered may have come behind what followed it.
        waiting, self._waiting = sorted(self._waiting), deque()
        self._size = 0
        oldest = self._clock() - MAX_AGE
        for each in waiting:
            if each.since < oldest:
                self.lost += 1
            else:
                self._pass_on(each, lambda sent: None)
        lost, self._lost_before = self.lost - self._lost_before, self.lost
        if lost:
            log.error(
                "%d event(s) for other hosts were lost: Redis was away for over %.0f s, or more than %d MB waited",
                lost,
                MAX_AGE,
                MAX_BYTES // 1024**2,
            )

    def _keep(self, event: _Waiting) -> None:
        self._waiting.append(event)
        self._size += event.size
        oldest = self._clock() - MAX_AGE
        while self._waiting and (self._size > MAX_BYTES or self._waiting[0].since < oldest):
            self._size -= self._waiting.popleft().size
            self.lost += 1

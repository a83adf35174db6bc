"""Gathering of publishers: a moment's wait for their next events, after a large fan-out that has answered several.

Publishers who wait for their answers publish again within a moment of each other. If the first of their events began
the next fan-out, all others would wait until that is sent, and there would be twice as many fan-outs or more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from soundpost.core.outbox import CallLater

_SECONDS: Final = 0.001
"""Longest wait after the fan-out before, a fraction of the time that a large fan-out takes."""


class PublisherGathering:
    """The wait for the publishers whom the last fan-out has answered. ``clock`` is in seconds.

    It ends with a call of ``end``, when as many publishers wait for an answer again, at the latest after a millisecond.
    """

    def __init__(self, call_later: CallLater, clock: Callable[[], float], end: Callable[[], None]) -> None:
        self._call_later = call_later
        self._clock = clock
        self._end = end
        self._until = 0.0
        self._expected = 0
        self.may_begin = False
        """True if a large fan-out has answered several publishers, and none has begun since."""
        self.is_on = False
        """True during the wait."""

    def expect(self, publishers: int) -> None:
        """Note the end of a large fan-out, after which so many publishers are to wait for the next."""
        self._until = self._clock() + _SECONDS
        self._expected = publishers
        self.may_begin = True

    def begin(self) -> bool:
        """Begin the wait, if the fan-out before has only just ended; return whether it has begun."""
        self.may_begin = False
        seconds = self._until - self._clock()
        if seconds <= 0:
            return False
        self.is_on = True
        self._call_later(seconds, self._stop)
        return True

    def count(self, publishers: int) -> None:
        """End the wait if all that are expected are among the publishers who wait now."""
        if publishers >= self._expected:
            self._stop()

    def _stop(self) -> None:
        # The timer of a wait that has ended before may end the next one early: only the wait is shorter then.
        if self.is_on:
            self.is_on = False
            self._end()

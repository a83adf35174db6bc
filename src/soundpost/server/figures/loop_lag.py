"""The lag of an event loop: delays of a timer, because the loop was busy."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from soundpost.core.histogram import Histogram

_INTERVAL: Final = 0.1
_RECENT: Final = 50
"""Number of ticks that :attr:`LoopLag.recent` looks back: 5 s of them, or more if the loop is late."""


class LoopLag:
    """A timer that is due ten times a second, and notes in ``lag`` how late it is.

    ``call_later`` is the loop's, ``clock`` is in seconds.
    """

    def __init__(
        self,
        lag: Histogram,
        call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._lag = lag
        self._call_later = call_later
        self._clock = clock
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer."""
        self._due = self._clock() + _INTERVAL
        self._timer = self._call_later(_INTERVAL, self._tick)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def recent(self) -> float:
        """The longest lateness of the last 5 s, in seconds."""
        return max(self._recent, default=0.0)

    def _tick(self) -> None:
        late = max(0.0, self._clock() - self._due)
        self._lag.observe(late)
        self._recent.append(late)
        self.start()

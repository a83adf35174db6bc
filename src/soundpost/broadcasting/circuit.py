"""Fail at once while a server is known to be dead, so that it does not slow every request of a site."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

FAILURES: Final = 5
WINDOW: Final = 10.0
"""Seconds within which so many failures open the circuit."""
OPEN_FOR: Final = 5.0
"""Seconds for which it stays open; then one request may try."""


class Circuit:
    """Closed: all may try. Open: nobody. Half open, after a while: one may; it closes or opens again by what it finds.

    Used from many threads; ``clock`` is in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: list[float] = []
        self._open_until: float | None = None
        self._reason = ""

    def refusal(self) -> str | None:
        """Why nothing should be tried now; None: try, and say how it went."""
        if self._open_until is None:
            return None
        with self._lock:
            now = self._clock()
            if self._open_until is None:
                return None
            if now < self._open_until:
                left = self._open_until - now
                return f"{self._reason}; it failed {FAILURES} times in a row and is tried again in {left:.1f} s"
            self._open_until = now + OPEN_FOR  # this one tries; the others wait for what it finds
            return None

    def succeeded(self) -> None:
        """The server answered."""
        if self._failures or self._open_until is not None:
            with self._lock:
                self._failures.clear()
                self._open_until = None

    def failed(self, reason: str) -> None:
        """The server did not answer, or not in time."""
        with self._lock:
            now = self._clock()
            self._failures = [at for at in self._failures if now - at < WINDOW] + [now]
            self._reason = reason
            if self._open_until is not None or len(self._failures) >= FAILURES:
                self._open_until = now + OPEN_FOR

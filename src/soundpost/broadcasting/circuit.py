"""A circuit breaker: publishing fails at once while a server is known not to answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

FAILURES: Final = 5
"""Failures that open the circuit."""
WINDOW: Final = 10.0
"""Seconds within which the failures open the circuit."""
OPEN_FOR: Final = 5.0
"""Seconds for which the circuit stays open; then one request may try."""


class Circuit:
    """A circuit breaker for one server, safe to use from many threads; ``clock`` is in seconds.

    Closed: every request is sent. Open: no request is sent. Half open, after a while: one request is sent, and its
    outcome closes the circuit or opens it again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: list[float] = []
        self._open_until: float | None = None
        self._reason = ""

    def refusal(self) -> str | None:
        """Return the reason to send nothing now; None: send, then call :meth:`succeeded` or :meth:`failed`."""
        if self._open_until is None:
            return None
        with self._lock:
            now = self._clock()
            if self._open_until is None:
                return None
            if now < self._open_until:
                left = self._open_until - now
                return f"{self._reason}; it failed {FAILURES} times in a row and is tried again in {left:.1f} s"
            self._open_until = now + OPEN_FOR  # the caller tries; the others wait for its outcome
            return None

    def succeeded(self) -> None:
        """Take note that the server answered."""
        if self._failures or self._open_until is not None:
            with self._lock:
                self._failures.clear()
                self._open_until = None

    def failed(self, reason: str) -> None:
        """Take note that the server did not answer, or not in time; ``reason`` says how."""
        with self._lock:
            now = self._clock()
            self._failures = [at for at in self._failures if now - at < WINDOW] + [now]
            self._reason = reason
            if self._open_until is not None or len(self._failures) >= FAILURES:
                self._open_until = now + OPEN_FOR

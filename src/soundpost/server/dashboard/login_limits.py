"""Limits of the attempts to log in: of one address, and of all together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

MAX_PER_ADDRESS: Final = 5
"""Attempts of one address within :data:`WINDOW`."""
MAX_IN_ALL: Final = 30
"""Attempts of all addresses within :data:`WINDOW`."""
WINDOW: Final = 60.0
"""Seconds in which attempts are counted."""


class LoginLimits:
    """Attempts of the last minute. ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: deque[tuple[float, str]] = deque()

    def count(self, address: str) -> float:
        """Count an attempt and return 0, or return the seconds until the address may try again."""
        now = self._clock()
        while self._attempts and now - self._attempts[0][0] >= WINDOW:
            self._attempts.popleft()
        own = [at for at, each in self._attempts if each == address]
        if len(own) >= MAX_PER_ADDRESS:
            return own[-MAX_PER_ADDRESS] + WINDOW - now
        if len(self._attempts) >= MAX_IN_ALL:
            return self._attempts[-MAX_IN_ALL][0] + WINDOW - now
        self._attempts.append((now, address))
        return 0.0

    def forget(self, address: str) -> None:
        """Forget the attempts of an address that has logged in."""
        self._attempts = deque(attempt for attempt in self._attempts if attempt[1] != address)

"""Warnings about messages of a server, limited in rate so that they cannot fill the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

_log: Final = logging.getLogger("soundpost.client")
EVERY: Final = 60.0
"""Seconds between two lines."""


class RateLimitedLog:
    """Logs one warning a minute, with the number of warnings left out since. ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = float("-inf")
        self._unsaid = 0

    def warning(self, text: str, error: BaseException | None = None) -> None:
        """Log a text and the traceback of an error, or count the warning as left out."""
        now = self._clock()
        if now < self._next:
            self._unsaid += 1
            return
        more = f" ({self._unsaid:,} more since the last line like this)" if self._unsaid else ""
        _log.warning("%s%s", text, more, exc_info=error)
        self._next, self._unsaid = now + EVERY, 0

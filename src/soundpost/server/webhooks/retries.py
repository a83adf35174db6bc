"""The pauses before a request is sent again to an endpoint that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

GIVEN_UP_AFTER: Final = 300.0
"""Seconds after its first attempt for which a request is sent again."""
MAX_PAUSE: Final = 60.0
"""Largest number of seconds between two attempts that the endpoint has not asked for."""
MIN_PAUSE: Final = 1.0
"""Smallest number of seconds between two attempts, but for the random part of a pause."""


def pause(failures: int, elapsed: float, wanted: float | None, random: Callable[[], float]) -> float | None:
    """Return the seconds until the next attempt; None if the request is given up.

    ``failures`` in a row: from 1. ``elapsed``: seconds since the first attempt. ``wanted``: what the endpoint asked for
    (``Retry-After``). ``random`` returns a number from 0 to 1: endpoints of many servers are not asked at one time.
    """
    rest = GIVEN_UP_AFTER - elapsed
    if rest <= 0:
        return None
    if wanted is not None:
        return min(max(wanted, MIN_PAUSE), rest)
    longest = min(MIN_PAUSE * 2.0 ** min(failures - 1, 10), MAX_PAUSE)
    return min(longest * (0.75 + 0.25 * random()), rest)

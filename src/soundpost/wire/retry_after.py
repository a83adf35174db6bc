"""The header ``Retry-After`` (RFC 9110, 10.2.3): when a server wants to be asked again."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime


def seconds_to_wait(text: str, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for at the time of day ``now``; None without a valid one."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)

"""The retry policy of publishing: how many attempts there are, and how long each waits.

Retryable failures of one request are those of ``drivers.http.is_retryable``. For messages that wait in the background
they are the errors with ``BroadcastError.may_pass``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Pauses between the attempts to send something."""

    backoff: tuple[float, ...]
    """Seconds before the second attempt, the third and so on; the last pause is repeated."""
    attempts: int | None = None
    """Attempts in all; None where only time ends them."""

    def pause_after(self, failures: int) -> float | None:
        """Return the seconds to wait after a number of failures in a row, from 1; None when no attempt is left."""
        if failures == self.attempts:
            return None
        return self.backoff[min(failures, len(self.backoff)) - 1]

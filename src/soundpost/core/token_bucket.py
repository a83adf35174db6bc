"""Token buckets: limits of the number of actions of one connection in a time."""

from __future__ import annotations


class TokenBucket:
    """A bucket of ``burst`` tokens, refilled evenly over ``period`` seconds."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, burst: int, now: float) -> None:
        self._tokens = float(burst)
        self._at = now

    def take(self, burst: int, period: float, now: float) -> bool:
        """Take one token; False if none is left. ``now`` is in seconds."""
        # A copy of _refill, because a call would cost time in every event.
        tokens = self._tokens + (now - self._at) * burst / period
        if tokens > burst:
            tokens = float(burst)
        self._at = now
        if tokens < 1:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1
        return True

    @property
    def is_empty(self) -> bool:
        """True if no token was left when one was last taken or spent."""
        return self._tokens < 1

    def spend(self, tokens: int, burst: int, period: float, now: float) -> None:
        """Take tokens for an action that is done already. The number of tokens can become negative."""
        self._refill(burst, period, now)
        self._tokens -= tokens

    def _refill(self, burst: int, period: float, now: float) -> None:
        self._tokens = min(burst, self._tokens + (now - self._at) * burst / period)
        self._at = now

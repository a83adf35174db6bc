"""Errors of messages that were not sent."""

from __future__ import annotations

from soundpost.errors import BroadcastError

Errors = dict[int, BroadcastError]
"""Errors of messages that a server refused, by their place among the messages."""


def failed(what: str, reason: str, status: int = 0) -> BroadcastError:
    """Return the error for messages that were not sent; ``status`` is the HTTP status, 0 if no answer came."""
    return BroadcastError(f"{what}: {reason}", status, reason=reason)

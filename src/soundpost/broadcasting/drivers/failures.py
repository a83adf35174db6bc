"""Errors of messages that were not sent."""

from __future__ import annotations

from typing import Final

from soundpost.errors import BroadcastError

_MAX_NAMED: Final = 20

Errors = dict[int, BroadcastError]
"""Errors of messages that a server refused, by their place among the messages."""


def failed(what: str, reason: str, status: int = 0) -> BroadcastError:
    """Return the error for messages that were not sent; ``status`` is the HTTP status, 0 if no answer came."""
    return BroadcastError(f"{what}: {reason}", status, reason=reason)


def error_of_all(errors: Errors) -> BroadcastError:
    """Return the error of the first message that was refused, which names the others too."""
    first, *others = [errors[place] for place in sorted(errors)]
    if not others:
        return first
    named = ", ".join([str(error).removesuffix(f": {error.reason}") for error in others[:_MAX_NAMED]])
    rest = f" and {len(others) - _MAX_NAMED} more" if len(others) > _MAX_NAMED else ""
    return failed(
        str(first).removesuffix(f": {first.reason}"), f"{first.reason}; also refused: {named}{rest}", first.status
    )

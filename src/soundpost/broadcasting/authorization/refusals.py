"""Reasons to refuse an auth request: a plain no, a mistake in the set-up, which somebody has to mend, or a failure."""

from __future__ import annotations

import logging
from typing import Final

from soundpost.errors import SoundpostError

log = logging.getLogger("soundpost.auth")

_MAX_REASON_LENGTH: Final = 1_000
"""Characters of a reason in the log."""


class Denied(SoundpostError):  # noqa: N818 - reads as what it says
    """Raise this exception in a channel route to deny a subscription, with the reason for the log and developers."""


class RequestDenied(Denied):
    """A denial by the endpoint, logged as INFO: nobody is logged in, a permission is missing."""

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason)
        self.status = status
        """Status of the HTTP response."""


class Misconfigured(RequestDenied):
    """A wrong set-up of a page or a proxy, or a channel without a route, logged as WARNING: no user can get through."""


def log_refusal(error: Exception, denials: tuple[type[BaseException], ...]) -> str:
    """Log a refused request, and return the reason.

    Denials are INFO, mistakes in the set-up WARNING, failures ERROR. ``denials`` are the framework's exceptions that
    deny, beside :class:`Denied`.
    """
    reason = str(error)
    if isinstance(error, (Denied, *denials)):
        reason = reason or type(error).__name__
        level = logging.WARNING if isinstance(error, Misconfigured) else logging.INFO
        log.log(level, "denied: %s", _one_line(reason))
    elif isinstance(error, SoundpostError):
        log.error("not authorized, because of a mistake in the application: %s", _one_line(reason))
    else:
        log.error("not authorized, because a channel route failed", exc_info=error)
        reason = f"the channel route failed: {type(error).__name__}: {error}"
    return reason


def refusal_status(error: Exception, denials: tuple[type[BaseException], ...]) -> int:
    """Return the status for a refused request: the denial's, by default 403; 500 for mistakes and failures."""
    if isinstance(error, RequestDenied):
        return error.status
    return 403 if isinstance(error, (Denied, *denials)) else 500


def _one_line(reason: str) -> str:
    """Return a reason for the log, cut off, and escaped unless printable: text of browsers never begins a line."""
    text = reason if len(reason) <= _MAX_REASON_LENGTH else f"{reason[:_MAX_REASON_LENGTH]}…"
    return text if text.isprintable() else ascii(text)[1:-1]

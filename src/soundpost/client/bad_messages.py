"""The log of messages that a client cannot use: one line a minute, however many a server sends."""

from __future__ import annotations

import logging
from typing import Final

from soundpost.log_throttle import MINUTE, LogThrottle

_log: Final = logging.getLogger("soundpost.client")


class BadMessageLog:
    """Logs the first unusable message, and then one a minute, with the number of those since."""

    def __init__(self) -> None:
        self._throttle = LogThrottle(_log)

    def warn(self, text: str, error: BaseException | None = None) -> None:
        """Log a text, with the traceback of ``error``, or count it."""
        self._throttle.warn("bad message", "%s", text, interval=MINUTE, error=error)

"""Warnings that hostile or broken clients could repeat at will, kept to one a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

MINUTE: Final = 60
_HOUR: Final = 3600


class Notices:
    """Warnings that might be due for every connection: of each kind one is logged, and no further one for a while.

    The next one says how many were left out. ``clock`` in seconds.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._silent_until: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warn(self, kind: str, message: str, *args: object, silence: float = _HOUR) -> None:
        """Log a warning, unless one of its kind was logged within the last ``silence`` seconds.

        ``kind`` must come from a bounded set: names of apps will do, what a client sent will not.
        """
        now = self._clock()
        if now < self._silent_until.get(kind, now):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._silent_until[kind] = now + silence
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            message, args = message + " (%d more like this since the last such line)", (*args, left_out)
        self._log.warning(message, *args)

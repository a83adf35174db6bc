"""Log lines that hostile or broken peers could repeat at will, kept to one of each kind in a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

MINUTE: Final = 60
_HOUR: Final = 3600
_LEFT_OUT: Final = " ({} more like this since the last such line)"


class LogThrottle:
    """A log that takes one warning of each kind, and then no further one for a while.

    The next warning of the kind says how many were left out: ``left_out`` is a text with a place ``{}`` for the number.
    ``clock`` is in seconds.
    """

    def __init__(
        self, log: logging.Logger, clock: Callable[[], float] = time.monotonic, *, left_out: str = _LEFT_OUT
    ) -> None:
        self._log = log
        self._clock = clock
        self._left_out_text = left_out
        self._silent_until: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warn(
        self, kind: str, message: str, *args: object, silence: float = _HOUR, error: BaseException | None = None
    ) -> None:
        """Log a warning, unless one of its kind was logged within the last ``silence`` seconds.

        ``message`` is a format for ``args``. ``kind`` must come from a bounded set: the id of an app will do, text from
        a client will not. The line ends with the traceback of ``error``.
        """
        self._log_once(logging.WARNING, kind, message, args, silence, error)

    def inform(self, kind: str, message: str, *args: object, silence: float = _HOUR) -> None:
        """Log a line at the level INFO as :meth:`warn` logs a warning."""
        self._log_once(logging.INFO, kind, message, args, silence, None)

    def _log_once(
        self,
        level: int,
        kind: str,
        message: str,
        args: tuple[object, ...],
        silence: float,
        error: BaseException | None,
    ) -> None:
        now = self._clock()
        if now < self._silent_until.get(kind, now):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._silent_until[kind] = now + silence
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            message, args = f"{message}%s", (*args, self._left_out_text.format(left_out))
        self._log.log(level, message, *args, exc_info=error)

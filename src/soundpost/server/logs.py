"""Where log lines go, and how they look."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

_HOUR: Final = 3600


def set_up_logging(*, debug: bool, process: str = "") -> None:
    """Log to stderr: warnings and worse, with ``debug`` more. ``process`` says which of several it is."""
    name = f" [{process}]" if process else ""
    logging.basicConfig(
        level=logging.INFO if debug else logging.WARNING,
        format=f"%(asctime)s %(levelname)s{name} %(name)s: %(message)s",
    )


class Notices:
    """Warnings that might be due for every connection: of each kind one is logged, and no further one for a while."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` in seconds."""
        self._log = log
        self._clock = clock
        self._silent_until: dict[str, float] = {}

    def warn(self, kind: str, message: str, *args: object, silence: float = _HOUR) -> None:
        """Log a warning, unless one of its kind was logged within the last ``silence`` seconds."""
        now = self._clock()
        if now >= self._silent_until.get(kind, now):
            self._silent_until[kind] = now + silence
            self._log.warning(message, *args)

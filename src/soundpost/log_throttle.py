"""Log lines that hostile or broken peers could repeat at will, kept to one of each kind in a while."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

MINUTE: Final = 60
_HOUR: Final = 3600
_NEARLY: Final = 0.05
"""Part of a minute or an hour that may be missing, or be too much, for a line to call it one."""

CallLater = Callable[[float, Callable[[], None]], object]


class LogThrottle:
    """A log that takes one line of each kind, and then no further one for a while.

    The next line after the interval says how many were left out. In a running event loop such a line comes at the end
    of the interval, even if nothing more happens by then; elsewhere the next one of the kind says so.
    ``clock`` is in seconds. ``call_later`` is the loop's, unless given.
    """

    def __init__(
        self,
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater | None = None,
    ) -> None:
        self._log = log
        self._clock = clock
        self._call_later = call_later or _call_later
        self._kinds: dict[str, _Kind] = {}

    def warn(
        self,
        kind: str,
        message: str,
        *args: object,
        interval: float = _HOUR,
        error: BaseException | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Log a warning, unless one of its kind was logged within the last ``interval`` seconds.

        ``message`` is a format for ``args``. ``kind`` must come from a bounded set: the id of an app will do, text from
        a client will not. The line ends with the traceback of ``error``. ``extra``: fields of the line.
        """
        self._log_once(kind, interval, _Line(logging.WARNING, message, args, error, extra))

    def inform(
        self, kind: str, message: str, *args: object, interval: float = _HOUR, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Log a line at the level INFO as :meth:`warn` logs a warning."""
        self._log_once(kind, interval, _Line(logging.INFO, message, args, None, extra))

    def _log_once(self, name: str, interval: float, line: _Line) -> None:
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = _Kind()
        now = self._clock()
        if now < kind.suppressed_until:
            if not kind.left_out:
                self._call_later(
                    kind.suppressed_until - now, partial(self._report_suppressed, kind, interval, kind.suppressed_until)
                )
            kind.left_out += 1
            kind.latest = line
        else:
            self._write(kind, interval, line)

    def _report_suppressed(self, kind: _Kind, interval: float, due: float) -> None:
        if kind.latest is not None and kind.suppressed_until == due:
            kind.left_out -= 1  # the line itself is one of them
            self._write(kind, interval, kind.latest)

    def _write(self, kind: _Kind, interval: float, line: _Line) -> None:
        now = self._clock()
        message, args, extra = line.message, line.args, dict(line.extra or {})
        if kind.left_out:
            message += " (%s more in the last %s)"
            args = (*args, f"{kind.left_out:,}", _in_words(now - kind.written_at))
            extra["fields"] = {**extra.get("fields", {}), "more": kind.left_out}
        kind.left_out, kind.latest = 0, None
        kind.written_at, kind.suppressed_until = now, now + interval
        self._log.log(line.level, message, *args, exc_info=line.error, extra=extra or None)


class _Line:
    __slots__ = ("args", "error", "extra", "level", "message")

    def __init__(
        self,
        level: int,
        message: str,
        args: tuple[object, ...],
        error: BaseException | None,
        extra: Mapping[str, Any] | None,
    ) -> None:
        self.level = level
        self.message = message
        self.args = args
        self.error = error
        self.extra = extra


class _Kind:
    """Lines of one kind: the time of the last one, and the number of those that were left out."""

    __slots__ = ("latest", "left_out", "suppressed_until", "written_at")

    def __init__(self) -> None:
        self.written_at = 0.0
        self.suppressed_until = float("-inf")
        self.left_out = 0
        self.latest: _Line | None = None


def _call_later(seconds: float, callback: Callable[[], None]) -> None:
    """Call back in the running event loop; do nothing without one."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    loop.call_later(seconds, callback)


def _in_words(seconds: float) -> str:
    for length, word in ((MINUTE, "minute"), (_HOUR, "hour")):
        if abs(seconds - length) <= _NEARLY * length:
            return word
    return f"{seconds:.0f} s" if seconds < 2 * MINUTE else f"{seconds / MINUTE:.0f} minutes"

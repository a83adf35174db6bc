"""A watchdog that ends a process whose event loop hangs, so that its supervisor starts it again.

A thread checks that the loop still turns, and systemd gets its keep-alive (``WatchdogSec=``). A process that was
suspended (SIGSTOP, a laptop's lid) is not taken for a hanging one: its thread was suspended, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import traceback
from typing import Final

from soundpost.log_fields import fields
from soundpost.server.processes.logs import stderr
from soundpost.server.processes.sd_notify import notify, watchdog_interval

log = logging.getLogger("soundpost.server")

_CHECK_INTERVAL: Final = 5.0
_MAX_MISSED: Final = 6
"""Checks in a row in which the loop has not turned."""
_WRITING_TIMEOUT: Final = 2.0
_EXIT_STATUS: Final = 70  # EX_SOFTWARE of sysexits(3)


class LoopWatchdog:
    """A watchdog of the running loop, until :meth:`stop`. ``check_interval`` in seconds."""

    def __init__(self, check_interval: float = _CHECK_INTERVAL, max_missed: int = _MAX_MISSED) -> None:
        self._check_interval = check_interval
        self._max_missed = max_missed
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._beats = 0
        self._stopped = threading.Event()
        interval = watchdog_interval()
        self._period = min(1.0, check_interval / 2) if interval is None else min(interval, check_interval / 2)
        self._notifies = interval is not None
        self._timer = self._loop.call_soon(self._beat)
        threading.Thread(target=self._watch, name="soundpost-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop watching the event loop."""
        self._stopped.set()
        self._timer.cancel()

    def _beat(self) -> None:
        self._beats += 1
        if self._notifies:
            notify("WATCHDOG=1")
        self._timer = self._loop.call_later(self._period, self._beat)

    def _watch(self) -> None:
        last, still = 0, 0
        while not self._stopped.wait(self._check_interval):
            beats = self._beats
            still = still + 1 if beats == last else 0
            last = beats
            if still >= self._max_missed:
                seconds = still * self._check_interval
                log.critical(
                    "the event loop has hung for %.0f s: this process ends, so that it is started again. It was doing:",
                    seconds,
                    extra={**fields(seconds=seconds), "stack": _stack_of(self._thread)},
                )
                stderr().drain(_WRITING_TIMEOUT)  # no longer: nobody may be reading stderr
                os._exit(_EXIT_STATUS)


def _stack_of(thread: int) -> str:
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)) if frame is not None else ""

"""Longest time for which one callback keeps the event loop of a measured server."""

from __future__ import annotations

import asyncio
import signal
import time

INTERVAL = 0.001
"""Seconds between two looks at the clock."""


class LoopProbe:
    """A timer that notes the most seconds of CPU time between two of its calls, and prints them on SIGUSR1."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._longest = 0.0
        self._loop.add_signal_handler(signal.SIGUSR1, self._tell)
        self._wait()

    def _wait(self) -> None:
        self._loop.call_later(INTERVAL, self._look, time.thread_time())

    def _look(self, before: float) -> None:
        self._longest = max(self._longest, time.thread_time() - before)
        self._wait()

    def _tell(self) -> None:
        print(self._longest, flush=True)
        self._longest = 0.0

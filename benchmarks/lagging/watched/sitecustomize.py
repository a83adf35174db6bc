"""A watch on the event loop of each process of a server: Python runs this file if its folder is on PYTHONPATH.

On SIGUSR1 a process appends a line to the file ``PID`` of the folder that ``LOOP_LAG`` names: the most seconds of CPU
time that one turn of its loop took since the last line, the functions that ran then, and what of the turn was garbage
collection.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

INTERVAL = 0.001
"""Seconds between two looks of the loop at the clock."""
LONG = 0.012
"""Seconds of CPU time of a turn after which it is noted what runs."""
DEPTH = 5
"""Functions that are noted."""


class Watch:
    """A timer of the running loop, and a thread that notes what a long turn does."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._longest, self._began = 0.0, time.thread_time()
        self._turn = 0
        self._noted: tuple[int, str] = (0, "")
        self._doing = ""
        self._collecting, self._collected = 0.0, 0.0
        self._generations = ""
        gc.callbacks.append(self._collect)
        self._loop.add_signal_handler(signal.SIGUSR1, self._tell)
        self._look()
        threading.Thread(target=self._note, daemon=True).start()

    def _look(self) -> None:
        now = time.thread_time()
        if now - self._began > self._longest:
            self._longest = now - self._began
            self._doing = self._noted[1] if self._noted[0] == self._turn else ""
            if self._collected:
                self._doing += f" (garbage collections {self._generations}: {self._collected * 1_000:.1f} ms)"
        self._began, self._collected, self._generations = now, 0.0, ""
        self._turn += 1
        self._loop.call_later(INTERVAL, self._look)

    def _collect(self, phase: str, info: dict[str, int]) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting
            self._generations += str(info["generation"])

    def _note(self) -> None:
        while True:
            time.sleep(0.004)
            turn = self._turn
            if self._noted[0] != turn and time.clock_gettime(self._clock) - self._began > LONG:
                frame = sys._current_frames().get(self._thread)
                stack = [] if frame is None else traceback.extract_stack(frame)
                self._noted = turn, " < ".join(f"{each.name}:{each.lineno}" for each in reversed(stack[-DEPTH:]))

    def _tell(self) -> None:
        with self._file.open("a") as file:
            file.write(f"{self._longest}\t{self._doing}\n")
        self._longest, self._began, self._doing = 0.0, time.thread_time(), ""


def _watched(run: Any) -> Any:
    def watching(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
        async def begin() -> Any:
            watch = Watch(Path(os.environ["LOOP_LAG"]) / str(os.getpid()))
            assert watch
            return await main

        return run(begin(), **options)

    return watching


uvloop.run = _watched(uvloop.run)

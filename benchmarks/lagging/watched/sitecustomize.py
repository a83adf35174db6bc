"""A watch on the event loop of each process of a server: Python runs this file if its folder is on PYTHONPATH.

On SIGUSR1 a process appends a line to the file ``PID`` of the folder that ``LOOP_LAG`` names: the most seconds of CPU
time that one turn of its loop took since the last line, the functions that ran then with their parts of it, and what of
the turn was garbage collection. The functions are looked for only if ``LOOP_LAG_DOING`` is set, as that takes time too.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from types import FrameType
from typing import Any

import uvloop

INTERVAL = 0.001
"""Seconds between two looks of the loop at the clock."""
LOOK = 0.0005
"""Seconds of CPU time between two looks at what runs."""
LONG = 0.009
"""Seconds of CPU time of a turn after which it is told what ran."""
DEPTH = 3
"""Functions of a stack that are told, the outermost ones of the server."""
MOST = 6
"""Stacks that are told."""


class Watch:
    """A timer of the running loop, and one of CPU time that notes what a long turn does."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._longest, self._began = 0.0, time.thread_time()
        self._seen: Counter[str] = Counter()
        self._doing = ""
        self._collecting, self._collected = 0.0, 0.0
        self._generations = ""
        gc.callbacks.append(self._collect)
        self._loop.add_signal_handler(signal.SIGUSR1, self._tell)
        self._look()
        if "LOOP_LAG_DOING" in os.environ:
            signal.signal(signal.SIGPROF, self._note)
            signal.setitimer(signal.ITIMER_PROF, LOOK, LOOK)

    def _look(self) -> None:
        now = time.thread_time()
        if now - self._began > self._longest:
            self._longest = now - self._began
            self._doing = self._told() if self._longest > LONG else ""
            if self._collected:
                self._doing += f" (garbage collections {self._generations}: {self._collected * 1_000:.1f} ms)"
        self._began, self._collected, self._generations = now, 0.0, ""
        self._seen = Counter()
        self._loop.call_later(INTERVAL, self._look)

    def _collect(self, phase: str, info: dict[str, int]) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting
            self._generations += str(info["generation"])

    def _told(self) -> str:
        number = self._seen.total()
        return "; ".join(f"{count / number:.0%} {stack}" for stack, count in self._seen.most_common(MOST))

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Note what runs. A thread that looks at the frames of another one crashes Python 3.11."""
        names: list[str] = []
        while frame is not None and not frame.f_code.co_filename.endswith(("/runners.py", "/uvloop/__init__.py")):
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        if names:  # else the loop waits
            self._seen[" > ".join(names[: -DEPTH - 1 : -1])] += 1

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

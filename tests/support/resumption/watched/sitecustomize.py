"""Watch the loop of a server that Python starts with this folder in ``PYTHONPATH``.

Each turn of the loop that takes long is a line in the file ``PID`` of the folder ``WATCHED_LOOPS``: when it was noted,
in seconds of ``time.monotonic``, and the seconds of CPU time that passed between two calls of a timer. Time in which
the process had to wait for a CPU does not count, nor what it does before it serves.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

INTERVAL = 0.002
"""Seconds between two calls."""
LONG = 0.003
FOLDER = os.environ.get("WATCHED_LOOPS", "")

if FOLDER and ({"start", "soundpost.server.processes.worker"} & set(sys.orig_argv)):
    import asyncio
    from collections.abc import Coroutine
    from typing import Any

    import uvloop

    _run = uvloop.run

    class Watch:
        """The timer of one loop."""

        def __init__(self, folder: str) -> None:
            self._file = (Path(folder) / str(os.getpid())).open("a", buffering=1)
            self._loop = asyncio.get_running_loop()
            self._wait()

        def _wait(self) -> None:
            self._loop.call_later(INTERVAL, self._look, time.thread_time())

        def _look(self, before: float) -> None:
            took = time.thread_time() - before
            if took > LONG:
                self._file.write(f"{time.monotonic():.6f} {took:.6f}\n")
            self._wait()

    watches: list[Watch] = []

    def begin() -> None:
        """Watch the running loop, if nothing does."""
        if not watches:
            watches.append(Watch(FOLDER))

    async def _watched(main: Coroutine[Any, Any, Any]) -> Any:
        from soundpost.server.server import Server

        start = Server.start

        async def started(self: Server, *arguments: Any) -> None:
            await start(self, *arguments)
            asyncio.get_running_loop().call_later(0.1, begin)  # the banner is written by then

        Server.start = started  # type: ignore[assignment, method-assign]
        asyncio.get_running_loop().call_later(1, begin)  # the parent of workers has no server
        return await main

    def run(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
        """Run it as uvloop does, and watch the loop."""
        return _run(_watched(main), **options)

    uvloop.run = run

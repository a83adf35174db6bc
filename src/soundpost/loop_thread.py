"""An event loop in a thread of its own, for programs that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for whichever thread asks. A daemon: it does not keep a program from ending."""

    def __init__(self, name: str) -> None:
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._running: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._stop = asyncio.Event()
        self._pid = os.getpid()

    def start(self) -> None:
        """Start the thread; it can be started once."""
        self._pid = os.getpid()
        self._thread.start()
        self._running.result()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine's result. Ctrl-C ends the waiting, and the coroutine."""
        if self.is_of_another_process:
            work.close()
            raise RuntimeError(
                f"the client belongs to process {self._pid}, this one ({os.getpid()}) was forked from it: "
                "make a client of its own"
            )
        if not self._thread.is_alive():
            work.close()
            raise RuntimeError("the client is used outside of its 'with' block")
        future = asyncio.run_coroutine_threadsafe(work, self._running.result())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Cancel whatever runs, and end the thread, unless this process is a fork of the one it runs in."""
        if self.is_of_another_process:
            return
        self._running.result().call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def is_of_another_process(self) -> bool:
        """Return whether this process was forked from the one that the thread runs in."""
        return self._pid != os.getpid()

    def _main(self) -> None:
        asyncio.run(self._wait())

    async def _wait(self) -> None:
        self._running.set_result(asyncio.get_running_loop())
        await self._stop.wait()

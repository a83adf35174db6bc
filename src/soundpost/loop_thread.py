"""An event loop in a thread of its own, for programs without asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
_NOT_CONNECTED: Final = "the client is not connected: use it in a 'with' block, or call connect() before"
_OWN_THREAD: Final = "called in the client's own thread, as 'auth' and 'on_status' are: call this from another thread"
_CLOSED: Final = "the client is closed: make another one"


class LoopThread:
    """A daemon thread with an event loop, which runs coroutines for any other thread."""

    def __init__(self, name: str) -> None:
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._running: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._stop = asyncio.Event()
        self._pid = os.getpid()

    def start(self) -> None:
        """Start the thread, and wait until its loop runs. Raises RuntimeError for a second call."""
        if self.is_running:
            raise RuntimeError("the client is connected already: connect() is called once, and reconnects by itself")
        if self.is_stopped:
            raise RuntimeError(_CLOSED)
        self._pid = os.getpid()
        self._thread.start()
        self._running.result()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop, and return its result. Ctrl-C cancels the coroutine.

        Raises RuntimeError if the thread does not run, belongs to the process that this one was forked from, or is the
        calling one, which would wait for itself.
        """
        if self.is_of_another_process:
            work.close()
            raise RuntimeError(
                f"the client belongs to process {self._pid}, this one ({os.getpid()}) was forked from it: "
                "make a client of its own"
            )
        if not self.is_running:
            work.close()
            raise RuntimeError(_CLOSED if self.is_stopped else _NOT_CONNECTED)
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(_OWN_THREAD)
        future = asyncio.run_coroutine_threadsafe(work, self._running.result())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Cancel all coroutines and end the thread; in a forked process, do nothing.

        Raises RuntimeError in the thread itself.
        """
        if self.is_of_another_process:
            return
        if threading.current_thread() is self._thread:
            raise RuntimeError(_OWN_THREAD)
        self._running.result().call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def is_running(self) -> bool:
        """True from the start of the thread until its end."""
        return self._thread.is_alive()

    @property
    def is_stopped(self) -> bool:
        """True after the end of the thread."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self.is_of_another_process

    @property
    def is_of_another_process(self) -> bool:
        """True if this process was forked from the one that the thread runs in."""
        return self._pid != os.getpid()

    def _main(self) -> None:
        asyncio.run(self._wait())

    async def _wait(self) -> None:
        self._running.set_result(asyncio.get_running_loop())
        await self._stop.wait()

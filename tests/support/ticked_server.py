"""A real server whose seconds pass when a test says so: no waiting, no guessing.

It runs in a thread of this process, so that blocking clients can talk to it and tests can look inside.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

import msgspec
import uvloop

from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.app_settings import AppSettings
from soundpost.core.publishing import publish
from soundpost.server.server import Server
from support.harness import DEFAULT_APP, TIMEOUT, RawSocket

T = TypeVar("T")


class _Waiting:
    """A connection whose work takes one loop turn."""

    def work(self) -> None: ...

    def abort(self) -> None: ...


class TickedServer:
    """A server with a hand on its clock. Call everything of ``server`` through :meth:`run`: it lives in its thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        self._loop = loop
        self.server = server
        self.port = server.port

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in the server's thread."""

        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(TIMEOUT)

    def tick(self, seconds: int) -> None:
        """Let seconds pass, with a turn of the loop after each."""
        for _ in range(seconds):
            self.run(self.server.wheel.tick)

    @contextmanager
    def held(self, then: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Keep the server still within the block, so that it finds all that was sent there at the same moment.

        ``then`` is called in the loop turn that ends with the block.
        """
        is_held, block_has_ended = threading.Event(), threading.Event()

        def hold() -> None:
            is_held.set()
            block_has_ended.wait()
            then()

        thread = threading.Thread(target=self.run, args=[hold])
        thread.start()
        is_held.wait()
        try:
            yield
        finally:
            block_has_ended.set()
            thread.join()

    def keep_busy(self, turns: int = 5_000) -> None:
        """Have other connections wait for their turn before those of the test: each loop turn serves one."""
        queue = self.server.fair_queue

        def fill() -> None:
            queue._clock = count().__next__
            for _ in range(turns):
                queue.add(_Waiting())

        self.run(fill)

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until a condition holds in it."""
        deadline = time.monotonic() + TIMEOUT
        while not self.run(condition):
            assert time.monotonic() < deadline, "it did not happen"

    def connect(self, app_id: str = "1") -> RawSocket:
        """A WebSocket client that has read its hello."""
        return RawSocket.open(self.port, self.server.node.by_id[app_id].settings.key)

    def publish(self, channel: str, name: str = "e", data: str = "{}", app_id: str = "1") -> None:
        """What the HTTP API does; sent when this returns."""
        self.run(lambda: publish(self.server.node.by_id[app_id], channel, name, data))
        self.run(self.server.node.outbox.flush)

    def subscribers(self, channel: str, app_id: str = "1") -> int:
        """How many a channel has."""
        found = self.server.node.by_id[app_id].channels.get(channel)
        return 0 if found is None else len(found.subscribers)


@contextmanager
def ticked_server(*apps: AppSettings, **settings: Any) -> Iterator[TickedServer]:
    """Start a server on a free port of 127.0.0.1 in a thread; ``settings`` are keys of ``ServerSettings``."""
    served: Sequence[AppSettings] = apps or (DEFAULT_APP,)
    defaults = {"host": "127.0.0.1", "port": 0, "shutdown_timeout": 1}
    options = Settings(server=msgspec.convert({**defaults, **settings}, ServerSettings), apps=tuple(served))
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    thresholds = gc.get_threshold()

    async def start() -> Server:
        server = Server(options)
        await server.start()
        assert server._clock is not None
        server._clock.cancel()  # the test's ticks are the only ones
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(TIMEOUT)
    try:
        yield TickedServer(loop, server)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT)
        loop.close()
        # A server is tuned for its own process; this one is the tests'.
        gc.set_threshold(*thresholds)
        gc.unfreeze()

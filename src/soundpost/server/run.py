"""Run a server until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import NamedTuple

import uvloop

from soundpost.config.settings import Settings
from soundpost.core.observer import Observer
from soundpost.server.debug import MessageStream
from soundpost.server.server import Server


class Listening(NamedTuple):
    """Where a server can be reached."""

    host: str
    port: int
    tls: bool
    path: str
    capacity: int
    """How many sockets may be open at a time."""


def run(
    settings: Settings, *, debug: bool = False, playground: bool = False, on_ready: Callable[[Listening], None]
) -> None:
    """Serve until SIGINT or SIGTERM, then return. Raises StartError."""
    logging.basicConfig(
        level=logging.INFO if debug else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    uvloop.run(_serve(settings, debug, playground, on_ready))


async def _serve(settings: Settings, debug: bool, playground: bool, on_ready: Callable[[Listening], None]) -> None:
    observers: list[Observer] = [MessageStream()] if debug else []
    server = Server(settings, playground=playground, observers=observers)
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        server.loop.add_signal_handler(number, stop.set)
    on_ready(
        Listening(
            settings.server.host,
            server.port,
            settings.server.tls.certificate is not None,
            server.prefix,
            server.capacity,
        )
    )
    await stop.wait()
    await server.stop()

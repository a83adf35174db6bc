"""Run a server until it is told to stop: in this process, or with several workers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import uvloop

from soundpost.backplane import SingleNode
from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.observer import Observer
from soundpost.server.debug import MessageStream
from soundpost.server.listening import Listening
from soundpost.server.logs import set_up_logging
from soundpost.server.scaling import redis_backplane
from soundpost.server.server import Server, normal_prefix
from soundpost.server.workers import Workers

OnReady = Callable[[Listening], None]


def run(settings: Settings, *, debug: bool = False, playground: bool = False, on_ready: OnReady) -> None:
    """Serve until SIGINT or SIGTERM, then return. Raises StartError."""
    count = number_of_workers(settings.server)
    set_up_logging(debug=debug, process="" if count == 1 else "parent")
    if count == 1:
        uvloop.run(_serve(settings, debug, playground, on_ready))
    else:
        uvloop.run(_serve_with_workers(settings, count, debug, playground, on_ready))


def number_of_workers(settings: ServerSettings) -> int:
    """How many processes serve: as configured, or one for each core this process may use."""
    if settings.workers != "auto":
        return settings.workers
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def _serve(settings: Settings, debug: bool, playground: bool, on_ready: OnReady) -> None:
    observers: list[Observer] = [MessageStream()] if debug else []
    backplane = redis_backplane(settings)
    peers = None if backplane is None else SingleNode(backplane.registry)
    server = Server(settings, playground=playground, observers=observers, peers=peers)
    await server.start()
    if backplane is not None:
        backplane.start()
    stop = _told_to_stop()
    on_ready(_listening(settings.server, server.port, server.capacity))
    await stop.wait()
    await server.stop()
    if backplane is not None:
        await backplane.stop()


async def _serve_with_workers(settings: Settings, count: int, debug: bool, playground: bool, on_ready: OnReady) -> None:
    workers = Workers(settings, count, playground=playground, debug=debug)
    stop = _told_to_stop()
    capacity = await workers.start()
    on_ready(_listening(settings.server, workers.port, capacity))
    await stop.wait()
    await workers.stop()


def _listening(server: ServerSettings, port: int, capacity: int) -> Listening:
    return Listening(server.host, port, server.tls.certificate is not None, normal_prefix(server.path), capacity)


def _told_to_stop() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop

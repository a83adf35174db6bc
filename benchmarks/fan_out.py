"""Cost of a delivery of one event to many subscribers, for every server that can be compared.

The servers are Soundpost, the C floor of ``floor.c``, and those in ``others/``. All speak to the same clients and hand
them the same bytes.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from processes import (
    HERE,
    PAYLOAD,
    NotMeasuredError,
    Process,
    Publisher,
    clients,
    free_port,
    need_files,
    publish_request,
)

from soundpost.wire import messages

Publish = Callable[[str], None]
"""Publish data to the channel ``bench``, and return when the server has answered."""


class FanOut(NamedTuple):
    """Of one server in one round."""

    delivery: float
    """Seconds of CPU per event and subscriber."""
    connect: float
    """Seconds of CPU per connect and subscribe."""
    memory: int
    """Bytes of resident memory per subscribed connection."""


class FloorPublisher:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __call__(self, data: str) -> None:
        publish_request(data=data)
        self._socket.sendall(messages.event("OrderPlaced", "bench", data))
        if self._socket.recv(1) != b".":
            raise NotMeasuredError("the floor closed the connection")


@functools.cache
def floor_program() -> str:
    """Path of the floor, built once and removed at the end. Raises NotMeasuredError without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NotMeasuredError("no C compiler for the floor")
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([compiler, "-O2", "-o", f"{folder}/floor", str(HERE / "floor.c")], check=True)
    return f"{folder}/floor"


def _command(server: str, port: int, api_port: int) -> list[str]:
    if server == "floor":
        return [floor_program(), str(port)]
    if server == "soundpost":
        return [sys.executable, str(HERE / "serve.py"), str(port)]
    return [sys.executable, "-m", f"others.{server}", str(port), str(api_port)]


@contextmanager
def running(server: str) -> Iterator[tuple[Process, int, int]]:
    """The server's process, its port, and the port to publish at."""
    port = free_port()
    api_port = free_port() if server == "websockets_broadcast" else port
    process = Process(*_command(server, port, api_port))
    try:
        yield process, port, api_port
    finally:
        process.stop()


def publisher(server: str, port: int) -> Publish:
    if server == "floor":
        return FloorPublisher(port)
    over_http = Publisher(port)
    return lambda data: over_http(data=data)


def fan_out(server: str, count: int, events: int, *, data: str = PAYLOAD, paced: bool = False) -> FanOut:
    """So many events to so many subscribers, one event after the other as the server answers; ``paced``: each only
    when all subscribers have the one before."""
    need_files(count)
    size = len(messages.event("OrderPlaced", "bench", data)) * count
    with running(server) as (process, port, api_port), clients(port, _protocol(server)) as swarm:
        publish = publisher(server, api_port)
        publish(data)
        memory, before = process.rss(), process.cpu()
        swarm.do(f"connect {count} bench")
        connected = (process.cpu() - before) / count
        memory = (process.rss() - memory) // count
        before = process.cpu()
        for _ in range(events):
            publish(data)
            if paced:
                swarm.receive(size)
        if not paced:
            swarm.receive(size * events)
        return FanOut((process.cpu() - before) / (events * count), connected, memory)


def _protocol(server: str) -> str:
    return "floor" if server == "floor" else "pusher"

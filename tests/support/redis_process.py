"""Real Redis servers for tests."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import redis

from support.raw_socket import TIMEOUT

_LISTS: Final = 8
"""How many processes that run tests at once have ports of their own."""


def free_port() -> int:
    """A port nobody listens on, and that nobody else is given: its server may start late, or end and start again.

    None of those that the kernel gives to clients: one that tries to connect to it again and again could be given the
    very same, and be connected to itself. Nor is the one 10,000 above it, which a Redis of a cluster takes too."""
    while True:
        port = next(_ports())
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@functools.cache
def _ports() -> Iterator[int]:
    """All ports of this process of pytest-xdist, in any order, over and over."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(range(15_000 + worker % _LISTS, 22_000, _LISTS))
    random.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)


def default_program() -> str:
    """The server the tests use: SOUNDPOST_TEST_REDIS, or the one that is installed."""
    # The virtual environment has one of its own, for the test of an old version, without TLS.
    path = os.pathsep.join(each for each in os.get_exec_path() if not Path(each).is_relative_to(sys.prefix))
    program = os.environ.get("SOUNDPOST_TEST_REDIS")
    program = program or shutil.which("redis-server", path=path) or shutil.which("valkey-server", path=path)
    assert program is not None, "the tests need redis-server: apt-get install redis-server, or brew install redis"
    return program


class RedisServer:
    """A server of its own, on a port that stays the same however often it is started. It keeps nothing on disk."""

    def __init__(self, folder: Path, *options: str, port: int | None = None, program: str | None = None) -> None:
        self.port = free_port() if port is None else port
        self._program = program
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        program = self._program or default_program()
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        with (self._folder / f"redis-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._options], stdout=log, stderr=log)
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            with suppress(redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
                with suppress(redis.exceptions.AuthenticationError):  # it is there, and wants a password
                    self.client().ping()
                return
            time.sleep(0.02)
        raise AssertionError("Redis did not start")

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True, **options)

    def signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        """End it, without a word to its clients."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)


@functools.cache
def shared_redis() -> RedisServer:
    """One that lasts as long as the tests do."""
    folder = tempfile.mkdtemp(prefix="soundpost-redis-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = RedisServer(Path(folder))
    server.start()
    atexit.register(server.stop)
    return server


@contextmanager
def running_redis(*options: str, program: str | None = None) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="soundpost-redis-") as folder:
        server = RedisServer(Path(folder), *options, program=program)
        server.start()
        try:
            yield server
        finally:
            server.stop()

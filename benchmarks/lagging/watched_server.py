"""A server whose loops are watched, in all its processes: the longest turn of each operation."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from processes import HERE, NotMeasuredError, free_port

from soundpost.wire import signatures

SETTLED = 0.3
"""Seconds that a server gets to finish what an operation has begun."""


class Longest(NamedTuple):
    """The longest turn of a loop."""

    seconds: float
    process: str
    """``server`` for the process that was started, ``worker`` for one that it has started."""
    doing: str
    """Functions that ran, if the turn was long."""


class WatchedServer:
    """A server of a checkout of Soundpost. Its app keeps history on ``kept-…`` and ``herd-…``.

    ``options``: ``workers``; ``redis``, a URL; ``redis_server``, the process; ``webhooks``, the URL of an endpoint.
    """

    def __init__(self, source: Path, options: dict[str, Any]) -> None:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory()
        self._lines: dict[int, int] = {}
        path = os.pathsep.join((str(HERE / "lagging" / "watched"), str(source / "src")))
        environment = {**os.environ, "PYTHONPATH": path, "LOOP_LAG": self._folder.name}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "serve.py"), str(self.port), json.dumps(_settings(options))],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline().startswith("READY"):
            raise NotMeasuredError(f"the server did not start: {self.log()}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        """Return the last 2,000 characters of the server's log."""
        self._errors.seek(0)
        return self._errors.read()[-2_000:]

    def workers(self) -> list[int]:
        """Return the pids of the processes that the server has started."""
        return [*map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]

    def longest(self) -> Longest:
        """Return the longest turn since the last call, of all processes that still run."""
        time.sleep(SETTLED)
        if self._process.poll() is not None:
            raise NotMeasuredError(f"the server ended with {self._process.returncode}: {self.log()}")
        found = [Longest(0.0, "server", "")]
        for pid in (self.pid, *self.workers()):
            line = self._told(pid)
            if line is not None:
                seconds, _, doing = line.partition("\t")
                found.append(Longest(float(seconds), "server" if pid == self.pid else "worker", doing))
        return max(found)

    def _told(self, pid: int) -> str | None:
        """Return the line that a process tells of itself; None for one that ends."""
        file = Path(self._folder.name) / str(pid)
        known, deadline = self._lines.get(pid, 0), time.monotonic() + 60
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)
        while time.monotonic() < deadline:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) > known:
                self._lines[pid] = len(lines)
                return lines[-1]
            if not Path(f"/proc/{pid}/stat").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return None
            time.sleep(0.01)
        raise NotMeasuredError(f"process {pid} does not tell of its loop")

    def ask(self, method: str, route: str, body: Any = None, **query: str) -> bytes:
        """Return the body of the answer to a signed request for ``/apps/1/ROUTE``. Raises NotMeasuredError."""
        data = b"" if body is None else json.dumps(body).encode()
        path = f"/apps/1/{route}"
        signed = signatures.signed_query(
            "bench-key", "bench-secret", method, path, int(time.time()), body=data, query=query
        )
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, f"{path}?{urllib.parse.urlencode(signed)}", body=data or None)
            answer = connection.getresponse()
            found = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise NotMeasuredError(f"{method} {route} was answered {answer.status} {found[:200]!r}")
        return found

    def signal(self, number: int) -> None:
        """Send a signal to the server's process."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """End all processes of the server."""
        workers = self.workers()
        self._process.kill()
        self._process.wait()
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._errors.close()
        self._folder.cleanup()


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Return settings as ``serve.py`` takes them."""
    hook = options.get("webhooks")
    app = {
        "max_channels_per_event": 1_000,
        "max_replays_per_ip": 1 << 40,
        "ping_interval": 3_600,  # the clients do not answer pings, and a busy machine is slow
        "history": [{"channels": ["kept-*", "herd-*"]}],
        "webhooks": [] if hook is None else [{"url": hook}],
    }
    server = {"workers": options.get("workers", 1), "max_history_size": 1 << 30, "private_webhooks": True}
    return {"server": server, "app": app, "scaling": {"redis": options.get("redis")}}


@contextmanager
def watched_server(source: Path, options: dict[str, Any]) -> Iterator[WatchedServer]:
    """A server, until the end of the block; if that fails, the last lines of the server's log go to standard error."""
    server = WatchedServer(source, options)
    try:
        yield server
    except Exception:
        print(server.log(), file=sys.stderr)
        raise
    finally:
        server.stop()

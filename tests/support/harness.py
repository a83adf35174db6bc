"""A real server process for tests, and (from ``raw_socket``) raw clients for it."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from soundpost.config.settings import DashboardSettings, MetricsSettings, ScalingSettings, ServerSettings, Settings
from soundpost.core.app_settings import AppSettings
from support.ending import end
from support.raw_socket import (
    DEFAULT_APP,
    MASK,
    TIMEOUT,
    WEBSOCKET_KEY,
    HttpResponse,
    RawSocket,
    client_frame,
    fragments,
    http_request,
    ping_message,
    signed_request,
    upgrade_request,
)

__all__ = [
    "DEFAULT_APP",
    "MASK",
    "TIMEOUT",
    "WEBSOCKET_KEY",
    "HttpResponse",
    "RawSocket",
    "RunningServer",
    "children",
    "client_frame",
    "fragments",
    "http_request",
    "ping_message",
    "running_server",
    "signed_request",
    "until",
    "upgrade_request",
]

WORKERS: Final = int(os.environ.get("SOUNDPOST_TEST_WORKERS", "1"))
"""How many workers the servers of the tests have; to run all tests with several: SOUNDPOST_TEST_WORKERS=3."""
_DEFAULTS: Final[dict[str, Any]] = {"host": "127.0.0.1", "port": 0, "shutdown_timeout": 1, "workers": WORKERS}


class RunningServer:
    """A server process. ``port`` on 127.0.0.1, ``pid``, ``process``."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, apps: Sequence[AppSettings], log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.port = port
        self._apps = {app.id: app for app in apps}
        self._log = log

    def app(self, id: str = "1") -> AppSettings:
        """An app it serves, with its key and secret."""
        return self._apps[id]

    def log(self) -> str:
        """All it has written to its standard error so far."""
        return self._log.read_text(errors="replace")

    def wait_for_log(self, pattern: str, times: int = 1) -> list[str]:
        """Wait until lines with ``pattern`` have been logged so many times; give them."""
        lines: list[str] = []

        def logged() -> bool:
            lines[:] = [line for line in self.log().splitlines() if re.search(pattern, line)]
            return len(lines) >= times

        until(logged, f"{pattern!r} in the log")
        return lines

    def workers(self) -> set[int]:
        """The process ids of its workers."""
        return children(self.pid)

    def wait_for_the_end(self) -> None:
        """Wait until it and all its workers are gone: the last of them closes their standard output."""
        assert self.process.stdout is not None
        ended, _, _ = select.select([self.process.stdout], [], [], TIMEOUT)
        assert ended, f"some of its processes still run: {self.workers() or 'those of a parent that is gone'}"
        assert self.process.stdout.read() == b""
        self.process.wait(TIMEOUT)

    def connect(self, app_id: str = "1") -> RawSocket:
        """A WebSocket client that has got its hello."""
        return RawSocket.open(self.port, self.app(app_id).key)

    def publish(self, channel: str, name: str, data: str = "{}", app_id: str = "1") -> HttpResponse:
        """Publish an event by the HTTP API."""
        body = msgspec.json.encode({"name": name, "channels": [channel], "data": data})
        return self.request("POST", "/events", body, app_id=app_id)

    def request(self, method: str, path: str, body: bytes = b"", *, app_id: str = "1", **query: str) -> HttpResponse:
        """A signed API request; ``path`` below ``/apps/{id}``."""
        return http_request(self.port, signed_request(method, path, body, app=self.app(app_id), query=query))


def children(pid: int) -> set[int]:
    """The processes that a process has started, and that still run."""
    found = " ".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children"))
    if not Path("/proc").exists():  # macOS
        found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return {int(each) for each in found.split()}


def until(condition: Callable[[], bool], what: str | Callable[[], str], seconds: float = TIMEOUT) -> None:
    """Wait until a condition holds; ``what`` is said if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited in vain: {what if isinstance(what, str) else what()}")
        time.sleep(0.01)


@contextmanager
def running_server(
    *,
    apps: Sequence[AppSettings] = (DEFAULT_APP,),
    playground: bool = False,
    debug: bool = False,
    scaling: ScalingSettings = ScalingSettings(),  # noqa: B008 - frozen
    dashboard: DashboardSettings = DashboardSettings(),  # noqa: B008 - frozen
    metrics: MetricsSettings = MetricsSettings(),  # noqa: B008 - frozen
    **server: Any,
) -> Iterator[RunningServer]:
    """Start a server on a free port of 127.0.0.1; ``server`` are keys of ``ServerSettings``. Ended by its pid."""
    settings = Settings(
        server=msgspec.convert({**_DEFAULTS, **server}, ServerSettings),
        scaling=scaling,
        dashboard=dashboard,
        metrics=metrics,
        apps=tuple(apps),
    )
    arguments = msgspec.json.encode({"settings": settings, "playground": playground, "debug": debug}).decode()
    command = [sys.executable, str(Path(__file__).with_name("harness_server.py")), arguments]
    with tempfile.NamedTemporaryFile(prefix="soundpost-test-", suffix=".log") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], TIMEOUT)
            line = process.stdout.readline() if ready else b""
            assert line, f"the server did not start:\n{Path(log.name).read_text()}"
            yield RunningServer(process, json.loads(line)["port"], apps, Path(log.name))
        finally:
            end(process)
            process.stdin.close()
            process.stdout.close()

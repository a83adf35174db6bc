"""A server with workers, as an operator starts it: its memory, CPU time, and the lag of its workers' loops."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

from processes import NotMeasuredError, free_port
from subjects.workers import Tree

KEY, SECRET = "bench-key", "bench-secret"
_START_SECONDS: Final = 60
_RESERVE: Final = 500  # files besides the connections
_LAG = re.compile(r"^soundpost_worker_lag_max_seconds\{.*\} (\S+)$", re.MULTILINE)
_EVERY: Final = 2.0
"""Seconds between two looks at the lag; the server tells the most of the last five."""


def workers_for(connections: int, open_files: int) -> int:
    """How many workers carry so many connections through a rolling restart, where one may open so many files.

    The clients of each replaced worker go to all others. The last one to be replaced has (1 + 1/N)^(N - 1) times its
    share by then, which is e = 2.72 times for many workers.
    """
    return max(2, math.ceil(connections * math.e / (open_files - _RESERVE)))


class Pages(NamedTuple):
    """Memory of processes in bytes."""

    rss: int
    """Resident; pages that processes share count for each."""
    pss: int
    """The same, with each process' part of the shared pages."""


def pages_of(pids: list[int]) -> Pages:
    """The memory of processes, as far as they live."""
    rss = pss = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            rss += _kilobytes(text, "Rss")
            pss += _kilobytes(text, "Pss")
    return Pages(rss, pss)


def available() -> int:
    """Bytes of memory that the machine has left."""
    return _kilobytes(Path("/proc/meminfo").read_text(), "MemAvailable")


def _kilobytes(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


class Server:
    """The processes of a server, and the folder in which its operator calls commands."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, port: int, metrics: int) -> None:
        self.port = port
        self._tree = Tree(process)
        self._process = process
        self._folder = folder
        self._metrics = metrics

    def memory(self) -> Pages:
        return pages_of(self._tree.pids())

    def cpu(self) -> float:
        """Seconds of CPU time so far, of all processes, also those that have ended."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")  # proc(5): cutime, cstime
        return self._tree.cpu() + ended

    def stop(self) -> None:
        self._tree.stop()

    def restart(self) -> float:
        """Replace all workers, one after the other; return the seconds it took."""
        began = time.monotonic()
        command = [sys.executable, "-m", "soundpost", "restart", "--wait"]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotMeasuredError(f"the restart failed: {done.stdout}{done.stderr}")
        return time.monotonic() - began

    def lag(self) -> float:
        """The most seconds within the last five for which a worker's loop did other things."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10) as answer:
            return max(map(float, _LAG.findall(answer.read().decode())), default=0.0)


@contextmanager
def running_server(workers: int, drain_time: int) -> Iterator[Server]:
    port, metrics = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="sp-") as name, tempfile.TemporaryFile() as output:
        folder = Path(name)
        file = folder / "soundpost.toml"
        file.touch(mode=0o600)
        file.write_text(
            f'[server]\nhost = "127.0.0.1"\nport = {port}\nworkers = {workers}\ndrain_time = {drain_time}\n'
            f'[metrics]\nhost = "127.0.0.1"\nport = {metrics}\n'
            f'[[apps]]\nid = "1"\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
        )
        command = [sys.executable, "-m", "soundpost", "start"]
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        server = Server(process, folder, port, metrics)
        try:
            _wait_until_up(process, output)
            yield server
        finally:
            server.stop()


def _wait_until_up(process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if b"listening on" in os.pread(output.fileno(), 65_536, 0):
            return
        time.sleep(0.1)
    raise NotMeasuredError(f"the server was not up: {os.pread(output.fileno(), 2_000, 0).decode()}")


class LagWatch:
    """Looks at the lag of all workers while its ``with`` lasts."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._most = 0.0

    def __enter__(self) -> LagWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def most(self) -> float:
        """The most seconds since the last call, and up to five before it."""
        self._look()
        most, self._most = self._most, 0.0
        return most

    def _run(self) -> None:
        while not self._over.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        with suppress(OSError):  # while the server is too busy to answer
            self._most = max(self._most, self._server.lag())

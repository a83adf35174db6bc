"""Worker processes of ``soundpost start --workers``: CPU of them all per delivery, time per event, who has whom.

Nothing is pinned to a core here, and the clients share the cores with the server: with fewer than four, the time per
event says little.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from processes import FRAME, NotMeasuredError, Publisher, clients, cpu_time, free_port, need_files

from subjects.subject import Figures, Measure, Subject, microseconds

AUDIENCES = {1_000: 100, 10_000: 15}
"""Subscribers, and how many events they get."""

START_SECONDS = 15


class Tree:
    """A server and all processes that it started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def pids(self) -> list[int]:
        found = [self._process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found

    def cpu(self) -> float:
        """Seconds of CPU time so far, of all processes."""
        return sum(cpu_time(pid) for pid in self.pids())

    def rss(self) -> int:
        """Resident memory in bytes; pages that processes share count for each."""
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in self.pids()]
        return sum(int(status.split("VmRSS:")[1].split()[0]) * 1024 for status in statuses)

    def connections(self, port: int) -> list[int]:
        """How many clients each process has that has any."""
        established = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == "01":
                established.add(f"socket:[{fields[9]}]")
        counts = []
        for pid in self.pids():
            targets = set()
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    targets.add(str(entry.readlink()))
            counts.append(len(targets & established))
        return [count for count in counts if count]

    def stop(self) -> None:
        pids = self.pids()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in pids[1:]:
            with suppress(FileNotFoundError, ProcessLookupError):
                # The number may be somebody else's by now.
                if b"soundpost" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, 9)


@contextmanager
def started(workers: int) -> Iterator[tuple[Tree, int]]:
    port = free_port()
    command = [sys.executable, "-m", "soundpost", "start", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers)]
    names = {"SOUNDPOST_APP_ID": "1", "SOUNDPOST_APP_KEY": "bench-key", "SOUNDPOST_APP_SECRET": "bench-secret"}
    # An empty folder: no soundpost.toml or .env is read by chance.
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=os.environ | names, cwd=folder, stdout=output, stderr=output)
        tree = Tree(process)
        try:
            _wait_until_up(process, output)
            yield tree, port
        finally:
            tree.stop()


def _wait_until_up(process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
    """Wait for the line that says so: all workers listen then."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if b"listening on" in os.pread(output.fileno(), 65_536, 0):
            return
        time.sleep(0.1)
    raise NotMeasuredError(f"the server was not up after {START_SECONDS} s")


@contextmanager
def on_all_cores() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measured(workers: int, count: int) -> Figures:
    need_files(count)
    events = AUDIENCES[count]
    with on_all_cores(), started(workers) as (tree, port), clients(port) as swarm:
        idle, before = tree.rss(), tree.cpu()
        swarm.do(f"connect {count} bench")
        connect = (tree.cpu() - before) / count
        spread = tree.connections(port)
        publish = Publisher(port)
        publish()
        swarm.receive(len(FRAME) * count)
        before, began = tree.cpu(), time.monotonic()
        for _ in range(events):
            publish()
        swarm.receive(len(FRAME) * count * events)
        return {
            "delivery_us": microseconds((tree.cpu() - before) / (count * events)),
            "event_ms": round((time.monotonic() - began) * 1e3 / events, 3),
            "connect_us": microseconds(connect),
            "idle_bytes": idle,
            "smallest_share_percent": round(100 * min(spread) / count, 1) if len(spread) >= workers else 0.0,
        }


def candidates(workers: int) -> dict[str, Measure]:
    return {f"{count:,} subscribers": functools.partial(measured, workers, count) for count in AUDIENCES}


SUBJECT = Subject("workers", (1, 2, 4), candidates, 60)

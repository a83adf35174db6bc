"""A large presence channel: ``python benchmarks/presence.py [--members 2000] [--seconds 10] [--scenes NAME ...]``.

``join``: so many users join one channel of one process within so many seconds. Prints how often each member's socket
had something to read, the CPU of the server, and how long the answer to a ``pusher:ping`` of a bystander took, which
is the time that the loop stood still. ``workers``, ``process``: two workers are restarted one after the other, or one
process in place, by SIGHUP. Prints how many notices all members together were told; there should be none.

The members are in ``returning/members.py``. All on this machine, over loopback. Exits 1 if a restart was noticed.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from processes import HERE, NotMeasuredError, at_most, need_files

sys.path.append(str(HERE.parent / "tests"))

from support.harness import DEFAULT_APP
from support.operated import Operated, operated

LIMIT = 300.0
"""Seconds for one scene."""
GRACE = 12.0
"""Seconds after which all graces of members are over."""
PROBE = 0.005
"""Seconds between two pings of the bystander."""
SCENES = {
    "join": "one process, users join",
    "workers": "two workers, one after the other",
    "process": "one process in place, SIGHUP",
}


class Crowd:
    """The process of the members."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self._output = process.stdout

    def expect(self, line: str) -> None:
        """Wait for a line of its output."""
        if self._output.readline() != f"{line}\n":
            raise NotMeasuredError(f"the members have ended before {line}")

    def report(self) -> dict[str, Any]:
        """Read a report."""
        found: dict[str, Any] = json.loads(self._output.readline())
        return found

    def end(self) -> dict[str, Any]:
        """Have the members report for the last time."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.report()


@contextmanager
def crowd(port: int, members: int, seconds: float) -> Iterator[Crowd]:
    """So many members, who join within so many seconds."""
    command = [sys.executable, "-m", "returning.members", str(port), str(members), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE) as process:
        try:
            yield Crowd(process)
        finally:
            process.kill()


class Bystander(threading.Thread):
    """A client without channels that pings, and notes how long each answer takes, in seconds."""

    def __init__(self, server: Operated) -> None:
        super().__init__(daemon=True)
        self._client = server.connect()
        self._over = threading.Event()
        self.waits: list[float] = []

    def run(self) -> None:
        while not self._over.wait(PROBE):
            began = time.monotonic()
            self._client.send_event("pusher:ping", {})
            assert self._client.read_event()["event"] == "pusher:pong"
            self.waits.append(time.monotonic() - began)

    def stop(self) -> list[float]:
        """Return the waits, shortest first."""
        self._over.set()
        self.join()
        return sorted(self.waits)


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def serving(workers: int, members: int) -> Iterator[Operated]:
    """A server with one app."""
    app = msgspec.structs.replace(DEFAULT_APP, max_presence_members=members + 10)
    with operated() as server:
        server.configure(f'host = "127.0.0.1"\nworkers = {workers}\n', apps=[app])
        server.start()
        yield server


def join(members: int, seconds: float) -> bool:
    """Measure users who join."""
    with serving(1, members) as server, crowd(server.port, members, seconds) as here:
        here.expect("CONNECTED")
        bystander = Bystander(server)
        bystander.start()
        before = cpu(server.pid)
        here.expect("READY")
        used = cpu(server.pid) - before
        waits = bystander.stop()
        report = here.report()
    row(
        SCENES["join"],
        f"{members:,} in {report['seconds']:.1f} s",
        f"{report['notices']:,}",
        f"{report['reads'] / members:,.1f}",
        f"{report['bytes'] / members / 1000:,.0f} kB",
        f"{used:.2f} s",
        f"{statistics.median(waits) * 1000:.1f}, {waits[int(len(waits) * 0.99)] * 1000:.1f}, {waits[-1] * 1000:.1f} ms",
    )
    return True


def restart(scene: str, members: int) -> bool:
    """Restart a server; return whether nobody was told anything."""
    with serving(2 if scene == "workers" else 1, members) as server, crowd(server.port, members, 3) as here:
        here.expect("CONNECTED")
        here.expect("READY")
        here.report()
        began = time.monotonic()
        server.signal(signal.SIGHUP)
        if scene == "workers":
            wait_until_said(server, "all workers are new")
        else:
            server.process.wait_for_start()
        took = time.monotonic() - began
        time.sleep(GRACE)
        report = here.end()
    if report["present"] != members or report["back"] < members:
        raise NotMeasuredError(f"{report['present']} of {members} members are back, {report['back']} had gone")
    row(
        SCENES[scene],
        f"{report['back']:,} back, {took:.1f} s",
        f"{report['notices']:,}",
        "",
        "",
        "",
        f"lists of {report['members'][0]:,} to {report['members'][1]:,}",
    )
    return not report["notices"]


def wait_until_said(server: Operated, pattern: str) -> None:
    """Wait for a line of the log, for as long as the scene may last."""
    while True:
        try:
            server.said(pattern)
        except AssertionError:
            if server.process.popen.poll() is not None:
                raise NotMeasuredError("the server has ended") from None
        else:
            return


def row(*cells: str) -> None:
    """Print a row of the table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=10, help="within which the users of the scene join join")
    parser.add_argument("--scenes", nargs="+", choices=list(SCENES), default=list(SCENES), metavar="NAME")
    options = parser.parse_args()
    need_files(3 * options.members)
    row("scene", "members", "notices", "reads each", "bytes each", "CPU of the server", "ping: median, p99, most")
    print(f"|{'---|' * 7}", flush=True)
    is_right = True
    for scene in options.scenes:
        try:
            with at_most(LIMIT):
                right = join(options.members, options.seconds) if scene == "join" else restart(scene, options.members)
        except (NotMeasuredError, AssertionError, OSError, EOFError) as error:
            print(f"{SCENES[scene]}: not measured: {error!r}", file=sys.stderr, flush=True)
            right = False
        is_right = is_right and right
    sys.exit(not is_right)


if __name__ == "__main__":
    main()

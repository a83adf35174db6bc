"""A hundred thousand subscribed clients on one machine: ``python benchmarks/hundred_thousand.py [--clients 100000]``.

Linux, two cores, a C compiler, 20,000 open files a process, 3 GB of memory; about four minutes. Workers of ``soundpost
start`` and the processes of the clients (``crowding/clients.c``) share the cores. All clients are on one channel:

- they connect;
- events go to all of them, one after the other;
- a tenth leaves and as many come, while events go to all;
- the workers are replaced one after the other, while events go to all.

Prints tables in Markdown. Exits 1 if a delivery was lost or doubled, a client is away in the end, or it took longer
than ``--minutes``. Nothing of the system is changed: a kernel limit that is too low is named with the way to raise it.
"""

from __future__ import annotations

import argparse
import math
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from crowding.clients import OF_ONE, Clients, Report, Times, running_clients
from crowding.limits import obstacles
from crowding.publishing import CHANNEL, Publisher, Publishing
from crowding.server import KEY, LagWatch, Pages, Server, available, pages_of, running_server, workers_for
from machine import RESULTS, keep, on_what
from pages import write_section
from processes import NotMeasuredError, at_most, need_files

EVENTS = 5
"""Events to all, one after the other."""
PATIENCE = 60.0
"""Seconds in which all must be back after a phase, and in which an event must have reached all."""


class Row(NamedTuple):
    """What one phase took."""

    phase: str
    seconds: float
    cpu: float
    """CPU time of all processes of the server in it."""
    lag: float
    report: Report


class Course:
    """The phases, one after the other."""

    def __init__(self, server: Server, clients: Clients, watch: LagWatch, count: int) -> None:
        self._server = server
        self._clients = clients
        self._watch = watch
        self._count = count
        self._publisher = Publisher(server.port)

    def connect(self) -> Row:
        before = self._server.cpu()
        seconds = self._clients.connect(self._count, CHANNEL)
        return self._row("connect and subscribe", seconds, self._server.cpu() - before)

    def events(self) -> Row:
        before, began = self._server.cpu(), time.monotonic()
        for _ in range(EVENTS):
            self._publisher()
            self._clients.wait_for(self._publisher.number, PATIENCE)
        seconds = time.monotonic() - began
        return self._row(f"{EVENTS} events to all", seconds, self._server.cpu() - before)

    def churn(self, share: float, every: float) -> Row:
        number = int(self._count * share)
        before, began = self._server.cpu(), time.monotonic()
        with Publishing(self._publisher, every):
            self._clients.leave(number)
            self._clients.connect(number, CHANNEL)
        seconds = time.monotonic() - began
        return self._ended(f"{number:,} leave, as many come", seconds, self._server.cpu() - before)

    def restart(self, every: float) -> Row:
        before = self._server.cpu()
        with Publishing(self._publisher, every):
            seconds = self._server.restart()
        return self._ended("all workers are replaced", seconds, self._server.cpu() - before)

    def _ended(self, phase: str, seconds: float, cpu: float) -> Row:
        """One more event, when all are back: all must have it."""
        self._clients.wait_for_all(PATIENCE)
        self._publisher()
        self._clients.wait_for(self._publisher.number, PATIENCE)
        return self._row(phase, seconds, cpu)

    def _row(self, phase: str, seconds: float, cpu: float) -> Row:
        return Row(phase, seconds, cpu, self._watch.most(), self._clients.report())


def milliseconds(times: Times) -> str:
    if not times.number:
        return "–"
    return ", ".join(f"{seconds * 1000:,.0f}" for seconds in (times.least, times.p50, times.p99, times.most)) + " ms"


def cells(row: Row) -> str:
    report = row.report
    shown = (
        row.phase,
        f"{row.seconds:.1f} s",
        f"{row.cpu:.1f} s",
        f"{row.lag * 1000:.0f} ms",
        f"{report.events:,}",
        str(report.lost) if not report.lost else f"{report.gaps} + {report.missed_first} + {report.not_there}",
        str(report.twice),
        f"{report.sent_away:,}",
        f"{report.refused:,}",
        f"{report.ended:,}",
        milliseconds(report.latency),
        milliseconds(report.back),
    )
    return f"| {' | '.join(shown)} |"


COLUMNS = (
    "phase",
    "took",
    "CPU of the server",
    "longest lag of a worker",
    "deliveries",
    "lost",
    "double",
    "disconnected",
    "refused",
    "cut off",
    "an event reaches clients: first, p50, p99, last",
    "back after: first, p50, p99, last",
)


class Memory(NamedTuple):
    """Bytes of memory at one time."""

    server: Pages
    clients: Pages
    left: int
    """That the machine has left."""

    @classmethod
    def now(cls, server: Server, clients: Clients) -> Memory:
        return cls(server.memory(), pages_of(clients.pids()), available())


class OfEach(NamedTuple):
    """Bytes of memory that a connection has taken."""

    rss: float
    """Of the server's processes."""
    pss: float
    kernel: float
    """For both ends, and whatever else has changed on the machine meanwhile."""


def of_each(now: Memory, before: Memory, count: int) -> OfEach:
    rss, pss = now.server.rss - before.server.rss, now.server.pss - before.server.pss
    kernel = before.left - now.left - pss - (now.clients.pss - before.clients.pss)
    return OfEach(rss / count, pss / count, kernel / count)


def kept(row: Row, each: OfEach, count: int) -> dict[str, Any]:
    """What is written of a phase."""
    figures = {
        "seconds": row.seconds,
        "cpu_us": row.cpu / count * 1e6,
        "lag_ms": row.lag * 1e3,
        "lost": row.report.lost,
        "p50_ms": row.report.latency.p50 * 1e3,
        "p99_ms": row.report.latency.p99 * 1e3,
        "last_ms": row.report.latency.most * 1e3,
        "rss_bytes": each.rss,
        "kernel_bytes": each.kernel,
    }
    return {"size": count, "candidate": row.phase, "runs": [figures]}


def measured(options: argparse.Namespace) -> bool:
    """Print the tables; return whether nothing was lost, and all are there."""
    count = options.clients
    processes = math.ceil(count * (1 + options.churn) / OF_ONE)
    with (
        running_server(options.workers, options.drain_time) as server,
        running_clients(server.port, KEY, processes) as clients,
        LagWatch(server) as watch,
    ):
        title = f"{count:,} clients in {processes} processes, {options.workers} workers"
        print("\n".join((title, "", *HEAD)), flush=True)
        before = Memory.now(server, clients)
        course = Course(server, clients, watch, count)
        rows, memory = [], []
        for phase in (
            course.connect,
            course.events,
            lambda: course.churn(options.churn, options.every),
            lambda: course.restart(options.every),
        ):
            rows.append(phase())
            memory.append(Memory.now(server, clients))
            print(cells(rows[-1]), flush=True)
    lines = [f"| memory after | {' | '.join(MEMORY)} |", "|---" * (len(MEMORY) + 1) + "|"]
    for row, now in zip(rows, memory, strict=True):
        each, whole = of_each(now, before, count), now.server
        sizes = " | ".join(f"{size:,.0f} B" for size in each)
        lines.append(f"| {row.phase} | {sizes} | {whole.rss / 1e6:,.0f} MB | {whole.pss / 1e6:,.0f} MB |")
    connect, delivery = rows[0].cpu / count * 1e6, rows[1].cpu / (count * EVENTS) * 1e6
    lines += ["", f"CPU to connect and subscribe a client: {connect:.0f} µs; for a delivery: {delivery:.2f} µs."]
    print("\n".join(("", *lines)))
    if options.page is not None:
        text = "\n".join((f"{title}.", on_what(), "", *HEAD, *map(cells, rows), "", *lines))
        write_section(options.page, "hundred-thousand", text)
    documents = [kept(row, of_each(now, before, count), count) for row, now in zip(rows, memory, strict=True)]
    keep(options.results, "hundred_thousand", 1, documents)
    return all(row.report.here == count and not row.report.lost + row.report.twice for row in rows)


HEAD = (f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|")
MEMORY = ("RSS for each connection", "PSS", "kernel, both ends", "RSS of all processes", "PSS of all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--workers", type=int, help="default: as many as the limit of open files needs")
    parser.add_argument("--churn", type=float, default=0.1, help="part of the clients that leaves (default: 0.1)")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between events in churn and restart")
    parser.add_argument("--drain-time", type=int, default=5, help="seconds over which a worker sends clients away")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    parser.add_argument("--page", type=Path, help="page to write the tables into, such as docs/performance.md")
    options = parser.parse_args()
    # An end from outside ends what was started, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    options.workers = options.workers or workers_for(options.clients, open_files)
    try:
        need_files(OF_ONE)
        for obstacle in obstacles(options.clients, Path("/proc/sys")):
            print(f"warning: {obstacle}", file=sys.stderr)
        with at_most(options.minutes * 60):
            sys.exit(not measured(options))
    except NotMeasuredError as error:
        sys.exit(f"not measured: {error}")


if __name__ == "__main__":
    main()

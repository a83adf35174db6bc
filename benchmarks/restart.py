"""Restarts under load: ``python benchmarks/restart.py [--clients 2000] [--rate 50] [--rounds 3] [--scenes NAME ...]``.

Clients of one channel come back at once when they are sent away (``returning/subscribers.py``), while numbered
events are published over kept connections, and the server is restarted: with workers, one after the other; one process
in place, by SIGHUP; three hosts behind Nginx over Redis, one after the other by ``soundpost restart --all``. The last
needs nginx and redis-server. All on this machine, over loopback; some ten minutes.

Prints a table. A refusal is a connection or a publish that failed, whoever tried; a loss is an event, answered with
200, that a client did not get while it was connected. Exits 1 if there was any, or a scene could not be measured.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from processes import HERE, NotMeasuredError, at_most, need_files

sys.path.append(str(HERE.parent / "tests"))

from restarting.publishing import Publishing

from support.nginx_process import running_nginx
from support.operated import Operated, operated
from support.redis_process import running_redis

STREAMS = 5
LIMIT = 300.0
"""Seconds for one round of a scene."""
SERVER = 'host = "127.0.0.1"\n'
COLUMNS = (
    "restart",
    "took",
    "events",
    "deliveries",
    "refused",
    "lost",
    "clients moved",
    "back after: median, p99, most",
)

Restart = Callable[[], float]
"""Restarts what there is; gives the seconds it took."""


class Scene(NamedTuple):
    """Something that can be restarted."""

    title: str
    stage: Callable[[ExitStack], tuple[int, Restart]]
    """Starts it; the port at which to reach it, and how to restart it."""


def workers(stack: ExitStack) -> tuple[int, Restart]:
    """Two workers behind one port."""
    server = stack.enter_context(operated())
    server.configure(f"{SERVER}workers = 2\n")
    server.start()

    def restart() -> float:
        began = time.monotonic()
        server.signal(signal.SIGHUP)
        _until_said(server, "all workers are new")
        return time.monotonic() - began

    return server.port, restart


def one_process(stack: ExitStack) -> tuple[int, Restart]:
    """One process that becomes the new one."""
    server = stack.enter_context(operated())
    server.configure(SERVER)
    server.start()

    def restart() -> float:
        began = time.monotonic()
        server.signal(signal.SIGHUP)
        server.process.wait_for_start()
        return time.monotonic() - began

    return server.port, restart


def hosts(stack: ExitStack) -> tuple[int, Restart]:
    """Three hosts of one process each, over Redis, behind Nginx."""
    redis = stack.enter_context(running_redis())
    servers = [stack.enter_context(operated()) for _ in range(3)]
    for server in servers:
        server.configure(SERVER, rest=f'[scaling]\nredis = "{redis.url}"\n')
        server.start()
    for server in servers:
        _until(lambda server=server: server.status()["redis"]["hosts"] == 3)  # type: ignore[misc]

    def restart() -> float:
        began = time.monotonic()
        before = {server: server.status()["started_at"] for server in servers}
        servers[0].run("restart", "--all")
        for server in servers:
            _until(lambda server=server: _started(server) > before[server])  # type: ignore[misc]
            _until(lambda server=server: server.publish("x", "e").body == b"{}")  # type: ignore[misc]
        return time.monotonic() - began

    return stack.enter_context(running_nginx([server.port for server in servers], files=20_000)), restart


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.2)


def _until_said(server: Operated, pattern: str) -> None:
    while True:
        try:
            server.said(pattern)
        except AssertionError:  # it is waited for as long as the round may last
            if server.process.popen.poll() is not None:
                raise NotMeasuredError("the server has ended") from None
        else:
            return


def _started(server: Operated) -> float:
    done = server.run("status", "--json")
    return float(json.loads(done.stdout)["started_at"]) if done.stdout else 0.0


SCENES = {
    "workers": Scene("two workers, one after the other", workers),
    "process": Scene("one process in place, SIGHUP", one_process),
    "hosts": Scene("three hosts behind Nginx, one after the other", hosts),
}


class Crowd:
    """The process of the clients, and what it reported."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.report: dict[str, Any] = {}

    def end(self) -> None:
        """Take its report."""
        self.report = json.loads(self._process.communicate()[0])


@contextmanager
def crowd(port: int, count: int) -> Iterator[Crowd]:
    """So many clients, all subscribed."""
    command = [sys.executable, "-m", "returning.subscribers", str(port), str(count), str(STREAMS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "READY\n":
                raise NotMeasuredError("the clients did not connect")
            yield Crowd(process)
        finally:
            process.kill()


def measured(scene: Scene, clients: int, rate: float) -> tuple[str, bool]:
    """A row of the table, and whether nothing was refused or lost."""
    with ExitStack() as stack:
        port, restart = scene.stage(stack)
        here = stack.enter_context(crowd(port, clients))
        publishing = stack.enter_context(Publishing(port, STREAMS, rate))
        time.sleep(3)
        took = restart()
        time.sleep(5)  # all are back
        publishing.stop()
        time.sleep(3)
        here.end()
    report, moves = here.report, sorted(here.report["moves"])
    refused, lost = [*report["refused"], *publishing.refused], publishing.lost(report)
    late = publishing.late(report)
    if late:
        print(f"{scene.title}: {late} deliveries came behind later ones", file=sys.stderr)
    for refusal in sorted(set(refused)):
        print(f"{scene.title}: {refused.count(refusal)} × {refusal}", file=sys.stderr)
    if report["away"] or not moves:
        raise NotMeasuredError(f"{report['away']} clients are not back, {len(moves)} had moved")
    p99 = moves[int(len(moves) * 0.99)]
    cells = (
        scene.title,
        f"{took:.1f} s",
        f"{publishing.taken:,} ({publishing.taken / publishing.seconds:.0f}/s)",
        f"{publishing.delivered(report):,}",
        f"{len(refused):,}",
        f"{lost:,}",
        f"{len(moves):,}",
        f"{statistics.median(moves) * 1000:,.0f}, {p99 * 1000:,.0f}, {moves[-1] * 1000:,.0f} ms",
    )
    return f"| {' | '.join(cells)} |", not refused and not lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=50, help="events a second, each to all clients")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenes", nargs="+", choices=list(SCENES), default=list(SCENES), metavar="NAME")
    options = parser.parse_args()
    need_files(3 * options.clients)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    is_right = True
    for name in options.scenes:
        for _ in range(options.rounds):
            try:
                with at_most(LIMIT):
                    row, right = measured(SCENES[name], options.clients, options.rate)
            except (NotMeasuredError, AssertionError, OSError, EOFError) as error:
                print(f"{SCENES[name].title}: not measured: {error!r}", file=sys.stderr, flush=True)
                is_right = False
            else:
                print(row, flush=True)
                is_right = is_right and right
    sys.exit(not is_right)


if __name__ == "__main__":
    main()

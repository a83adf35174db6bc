"""What several hosts over Redis cost: ``python benchmarks/cluster.py [--rounds 3]``; needs redis-server.

CPU of each process: of the host an event is published on, of one that only has subscribers, and of Redis; with 1, 3 and
8 hosts that all have subscribers of the channel. Method as in ``budgets.py``; all servers and Redis are on core 0.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from processes import (
    FRAME,
    HERE,
    Clients,
    NotMeasuredError,
    Process,
    Publisher,
    clients,
    cpu_time,
    free_port,
    median_of,
    on_one_core,
)

HOSTS = (1, 3, 8)


class Costs(NamedTuple):
    """Seconds of CPU time."""

    publishing: float
    """Of the publishing host, per event, without its own deliveries: it has one subscriber."""
    hearing: float
    """Of another host with one subscriber, per event."""
    redis: float
    """Of Redis, per event."""


@contextmanager
def redis() -> Iterator[tuple[int, str]]:
    """The process id and URL of a Redis that keeps nothing on disk."""
    program = shutil.which("redis-server")
    if program is None:
        raise NotMeasuredError("there is no redis-server")
    port = free_port()
    command = ["taskset", "-c", "0", program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield process.pid, f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def hosts(count: int, url: str) -> Iterator[list[tuple[Process, int]]]:
    """Servers on one Redis, and their ports."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            port = free_port()
            process = Process(sys.executable, str(HERE / "serve.py"), str(port), url)
            stack.callback(process.stop)
            found.append((process, port))
        time.sleep(3)  # all have met
        yield found


def per_event(count: int, events: int = 1_000) -> Costs:
    """Each host has one subscriber."""
    with redis() as (pid, url), hosts(count, url) as servers, ExitStack() as stack:
        swarms = [stack.enter_context(clients(port)) for _, port in servers]
        for swarm in swarms:
            swarm.do("connect 1 bench")
        publish = Publisher(servers[0][1])
        _publish(publish, swarms, 200)
        before = [process.cpu() for process, _ in servers], cpu_time(pid)
        _publish(publish, swarms, events)
        spent = [process.cpu() - was for (process, _), was in zip(servers, before[0], strict=True)]
        others = spent[1:] or [0.0]
        return Costs(spent[0] / events, statistics.mean(others) / events, (cpu_time(pid) - before[1]) / events)


def deliveries(*, remote: bool, subscribers: int = 1_000, events: int = 100) -> float:
    """Seconds of CPU per delivery of a host with so many subscribers, for events of its own or of another."""
    with redis() as (_, url), hosts(2, url) as servers, clients(servers[0][1]) as swarm:
        swarm.do(f"connect {subscribers} bench")
        publish = Publisher(servers[1 if remote else 0][1])
        publish()
        swarm.receive(len(FRAME) * subscribers)
        before = servers[0][0].cpu()
        for _ in range(events):
            publish()
            swarm.receive(len(FRAME) * subscribers)
        return (servers[0][0].cpu() - before) / (subscribers * events)


def _publish(publish: Publisher, swarms: list[Clients], events: int) -> None:
    for _ in range(events):
        publish()
    for swarm in swarms:
        swarm.receive(len(FRAME) * events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    on_one_core()
    own, others = median_of(rounds, lambda: deliveries(remote=False), lambda: deliveries(remote=True))
    ratio = statistics.median(far / near for far, near in zip(others, own, strict=True))
    near, far = statistics.median(own) * 1e6, statistics.median(others) * 1e6
    print(f"CPU per delivery to 1,000 subscribers: {near:.2f} µs of an own event,")
    print(f"{far:.2f} µs of another host's, {ratio:.2f} times as much\n")
    print("| hosts | publishing host, per event | each other host | Redis |\n|---|---|---|---|")
    for count in HOSTS:
        (runs,) = median_of(rounds, lambda count=count: per_event(count))  # type: ignore[misc]
        publishing, hearing, server = (statistics.median(run[i] for run in runs) * 1e6 for i in range(3))
        print(
            f"| {count} | {publishing:.0f} µs | {f'{hearing:.0f} µs' if count > 1 else '–'} | {server:.0f} µs |",
            flush=True,
        )


if __name__ == "__main__":
    main()

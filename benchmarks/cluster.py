"""Cost of several hosts over Redis: ``python benchmarks/cluster.py [--rounds 3]``; needs redis-server.

CPU of each process: of the host an event is published on, of one that only has subscribers, and of Redis; with 1 to 8
hosts that all have a subscriber of the channel, from one publisher that waits for each answer, and from eight. Beside
it the bytes that Redis reads and writes. Method as in ``budgets.py``; all servers and Redis are on core 0.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from processes import (
    FRAME,
    Clients,
    NotMeasuredError,
    Process,
    Publisher,
    clients,
    cpu_time,
    free_port,
    median_of,
    on_one_core,
    publish_request,
    soundpost,
)

HOSTS = (1, 2, 3, 4, 8)
AT_ONCE = 8
"""Publishers that each wait for their own answers."""


class Costs(NamedTuple):
    """Seconds of CPU time."""

    publishing: float
    """Of the publishing host, per event, without its own deliveries: it has one subscriber."""
    hearing: float
    """Of another host with one subscriber, per event."""
    redis: float
    """Of Redis, per event."""
    bytes_read: float
    """By Redis, per event."""
    bytes_written: float
    """By Redis to all hosts together, per event."""


class Redis(NamedTuple):
    """A Redis under measurement."""

    pid: int
    url: str

    def cpu(self) -> float:
        """Seconds of CPU time so far."""
        return cpu_time(self.pid)

    def traffic(self) -> tuple[int, int]:
        """Bytes read and written so far."""
        with socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2]))) as connection:
            connection.sendall(b"INFO stats\r\n")
            text = connection.recv(65_536).decode()
        read, written = (re.search(rf"total_net_{way}_bytes:(\d+)", text) for way in ("input", "output"))
        assert read is not None
        assert written is not None
        return int(read[1]), int(written[1])


@contextmanager
def redis() -> Iterator[Redis]:
    """A Redis that keeps nothing on disk."""
    program = shutil.which("redis-server")
    if program is None:
        raise NotMeasuredError("there is no redis-server")
    port = free_port()
    command = ["taskset", "-c", "0", program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield Redis(process.pid, f"redis://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


@contextmanager
def hosts(count: int, url: str) -> Iterator[list[tuple[Process, int]]]:
    """Servers on one Redis, and their ports."""
    with ExitStack() as stack:
        found = [stack.enter_context(soundpost(scaling={"redis": url})) for _ in range(count)]
        time.sleep(3)  # all have met
        yield found


def per_event(count: int, publishers: int = 1, events: int = 1_000) -> Costs:
    """Each host has one subscriber; so many publish on the first host, each after its last answer."""
    with redis() as broker, hosts(count, broker.url) as servers, ExitStack() as stack:
        swarms = [stack.enter_context(clients(port)) for _, port in servers]
        for swarm in swarms:
            swarm.do("connect 1 bench")
        _publish(swarms, publishers, 200)
        before, cpu, traffic = [process.cpu() for process, _ in servers], broker.cpu(), broker.traffic()
        _publish(swarms, publishers, events)
        spent = [process.cpu() - was for (process, _), was in zip(servers, before, strict=True)]
        used, moved = broker.cpu() - cpu, broker.traffic()
        figures = (spent[0], statistics.mean(spent[1:] or [0.0]), used, moved[0] - traffic[0], moved[1] - traffic[1])
        return Costs(*(figure / events for figure in figures))


def deliveries(*, remote: bool, subscribers: int = 1_000, events: int = 100) -> float:
    """Seconds of CPU per delivery of a host with so many subscribers, for events of its own or of another."""
    with redis() as broker, hosts(2, broker.url) as servers, clients(servers[0][1]) as swarm:
        swarm.do(f"connect {subscribers} bench")
        publish = Publisher(servers[1 if remote else 0][1])
        publish()
        swarm.receive(len(FRAME) * subscribers)
        before = servers[0][0].cpu()
        for _ in range(events):
            publish()
            swarm.receive(len(FRAME) * subscribers)
        return (servers[0][0].cpu() - before) / (subscribers * events)


def _publish(swarms: list[Clients], publishers: int, events: int) -> None:
    swarms[0].do(f"publish {publishers} {events // publishers} {publish_request().hex()}")
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
    print(
        "| publishers | hosts | publishing host, per event | each other host | Redis | Redis reads | writes, to each |"
    )
    print("|---|---|---|---|---|---|---|")
    for publishers, count in [(publishers, count) for publishers in (1, AT_ONCE) for count in HOSTS]:
        (runs,) = median_of(rounds, lambda count=count, many=publishers: per_event(count, many))  # type: ignore[misc]
        costs = Costs(*(statistics.median(figures) for figures in zip(*runs, strict=True)))
        hearing = f"{costs.hearing * 1e6:.0f} µs" if count > 1 else "–"
        print(
            f"| {publishers} | {count} | {costs.publishing * 1e6:.0f} µs | {hearing} | {costs.redis * 1e6:.0f} µs | "
            f"{costs.bytes_read:,.0f} B | {costs.bytes_written / count:,.0f} B |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Measure what the server costs, beside a bare C loop of ``send()``, and print it as a table.

``python benchmarks/budgets.py [--rounds 3]``: Linux, two cores, a C compiler; a few minutes. The server runs on core 0,
clients and this script on core 1. A figure is CPU time of the server's process (user and system, from
/proc/PID/schedstat) over the work done, median of interleaved rounds; wall time plays no part.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from soundpost.wire import messages, signatures

HERE = Path(__file__).parent
PAYLOAD = json.dumps({"text": "x" * 190})
FRAME = messages.event("OrderPlaced", "bench", PAYLOAD)


class Process:
    """A server pinned to core 0."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("READY")

    def cpu(self) -> float:
        """Seconds of CPU time so far."""
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0]) / 1e9

    def rss(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Clients:
    """A swarm of clients on core 1."""

    def __init__(self, port: int, protocol: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "swarm.py"), str(port), protocol],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Publisher:
    """One keep-alive connection to the API."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __call__(self, socket_id: str | None = None, data: str = PAYLOAD) -> None:
        self._socket.sendall(publish_request(socket_id, data))
        answer = self._socket.recv(65_536)
        assert answer.endswith(b"{}"), answer


def publish_request(socket_id: str | None = None, data: str = PAYLOAD) -> bytes:
    """A signed request. The floor's publisher makes one for every event too: how long clients have to catch up
    between two events decides what a send costs."""
    event = {"name": "OrderPlaced", "channels": ["bench"], "data": data}
    if socket_id is not None:
        event["socket_id"] = socket_id
    body = json.dumps(event).encode()
    now = int(time.time())
    query = signatures.signed_query("bench-key", "bench-secret", "POST", "/apps/1/events", now, body=body)
    head = f"POST /apps/1/events?{urllib.parse.urlencode(query)} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}"
    return f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def soundpost() -> Iterator[tuple[Process, int]]:
    port = free_port()
    process = Process(sys.executable, str(HERE / "serve.py"), str(port))
    try:
        yield process, port
    finally:
        process.stop()


@contextmanager
def clients(port: int, protocol: str = "pusher") -> Iterator[Clients]:
    swarm = Clients(port, protocol)
    try:
        yield swarm
    finally:
        swarm.stop()


def fan_out_floor(floor: str, count: int, events: int) -> float:
    port = free_port()
    process = Process(floor, str(port))
    try:
        with clients(port, "floor") as swarm, socket.create_connection(("127.0.0.1", port)) as publisher:
            publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            swarm.do(f"connect {count} bench")
            before = process.cpu()
            for _ in range(events):
                publish_request()
                publisher.sendall(FRAME)
                publisher.recv(1)
            swarm.do(f"received {len(FRAME) * events * count}")
            return (process.cpu() - before) / (events * count)
    finally:
        process.stop()


def fan_out(count: int, events: int) -> tuple[float, float, float]:
    """Seconds per delivery, seconds per connect and subscribe, bytes per subscribed connection."""
    with soundpost() as (process, port), clients(port) as swarm:
        publish = Publisher(port)
        publish()
        memory, before = process.rss(), process.cpu()
        swarm.do(f"connect {count} bench")
        connected = (process.cpu() - before) / count
        memory = (process.rss() - memory) // count
        before = process.cpu()
        for _ in range(events):
            publish()
        swarm.do(f"received {len(FRAME) * events * count}")
        return (process.cpu() - before) / (events * count), connected, memory


def publishing(subscriptions: int, socket_id: str | None) -> float:
    """Seconds per publish to a channel without subscribers, while other channels have many."""
    with soundpost() as (process, port), clients(port) as swarm:
        swarm.do(f"connect {subscriptions} other-{{i}}")
        publish = Publisher(port)
        for _ in range(500):
            publish(socket_id)
        before = process.cpu()
        for _ in range(3000):
            publish(socket_id)
        return (process.cpu() - before) / 3000


def presence_joins(members: int, joins: int = 20) -> tuple[float, float]:
    """Seconds per connect and join of a presence channel that has so many members: of a new member, whom all others
    are told of, and of another connection of one, of which nobody is told."""
    with soundpost() as (process, port), clients(port) as swarm:
        swarm.do(f"connect {members - joins} presence-bench")
        before = process.cpu()
        for _ in range(joins):
            swarm.do("connect 1 presence-bench")
        between = process.cpu()
        for _ in range(joins):
            swarm.do(f"connect 1 presence-bench {members}")
        return (between - before) / joins, (process.cpu() - between) / joins


def disconnects(others: int, count: int = 500) -> float:
    """Seconds per disconnect of a client with a channel of its own, while so many others have theirs."""
    with soundpost() as (process, port), clients(port) as swarm:
        swarm.do(f"connect {others + count} own-{{i}}")
        before = process.cpu()
        swarm.do(f"disconnect {count}")
        time.sleep(1)
        return (process.cpu() - before) / count


def median_of(rounds: int, *measures: Callable[[], Any]) -> list[list[Any]]:
    """Run the measures in turn, so that what disturbs one round disturbs all of them."""
    results: list[list[Any]] = [[] for _ in measures]
    for _ in range(rounds):
        for measure, kept in zip(measures, results, strict=True):
            kept.append(measure())
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    os.sched_setaffinity(0, {1})
    med = statistics.median

    def row(what: str, figure: str, limit: str) -> None:
        print(f"| {what} | {figure} | {limit} |", flush=True)

    print("| what | measured | budget |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        floor = f"{folder}/floor"
        subprocess.run(["cc", "-O2", "-o", floor, str(HERE / "floor.c")], check=True)
        for count, events in ((1_000, 100), (10_000, 15)):
            base, ours = median_of(
                rounds,
                lambda n=count, e=events: fan_out_floor(floor, n, e),  # type: ignore[misc]
                lambda n=count, e=events: fan_out(n, e),  # type: ignore[misc]
            )
            ratio = med(mine[0] / bare for mine, bare in zip(ours, base, strict=True))
            row(
                f"fan-out to {count:,}: CPU per delivery",
                f"{med(mine[0] for mine in ours) * 1e6:.2f} µs, floor {med(base) * 1e6:.2f} µs, ratio **{ratio:.2f}**",
                "1.3 × floor",
            )
        row("connect and subscribe: CPU", f"**{med(mine[1] for mine in ours) * 1e6:.0f} µs**", "130 µs")
        row("RSS per subscribed connection (10,000)", f"**{med(mine[2] for mine in ours):,.0f} B**", "4,096 B")
    plain, excepting, alone = median_of(
        rounds,
        lambda: publishing(10_000, None),
        lambda: publishing(10_000, "1.1"),
        lambda: publishing(1, None),
    )
    row("publish, keep-alive, no subscriber: CPU", f"**{med(alone) * 1e6:.0f} µs**", "120 µs")
    row(
        "the same beside 10,000 subscriptions, without and with `socket_id`",
        f"{med(plain) * 1e6:.0f} µs and **{med(excepting) * 1e6:.0f} µs**",
        "the same",
    )
    few, many = median_of(rounds, lambda: presence_joins(200), lambda: presence_joins(2_000))
    row(
        "presence join of a new member, 200th and 2,000th, telling all others: CPU",
        f"{med(join[0] for join in few) * 1e6:,.0f} µs and {med(join[0] for join in many) * 1e6:,.0f} µs",
        "a delivery each",
    )
    row(
        "the same without telling the others (another connection of a member): CPU",
        f"{med(join[1] for join in few) * 1e6:,.0f} µs and **{med(join[1] for join in many) * 1e6:,.0f} µs**",
        "3 × and the list",
    )
    few, many = median_of(rounds, lambda: disconnects(500), lambda: disconnects(9_500))
    row(
        "disconnect with an own channel, beside 500 and 9,500 others: CPU",
        f"{med(few) * 1e6:.0f} µs and **{med(many) * 1e6:.0f} µs**",
        "the same",
    )


if __name__ == "__main__":
    main()

"""Cost for an application that publishes often: ``python benchmarks/fast_lane.py [--rounds 3] [--events 20000]``.

``--faults`` breaks things meanwhile instead (``gathering/faults.py``), and prints what was lost, doubled or late; it
exits 1 if anything was. It needs redis-server and nginx, and takes four minutes.

CPU per event of the application's process and of the server's, and events a second, of ways to publish: one after the
other, from eight threads, from eight tasks, in the background, in one batch. The server is on core 0; the application
and one subscriber, a process of its own, are on core 1. Interleaved, medians.

Then events in the background to two workers, of which one takes them and the other has the subscriber, and what each
process pays for one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from processes import Clients, Process, clients, median_of, on_one_core
from processes import soundpost as running_soundpost

from soundpost import Channel, Event
from soundpost.broadcasting.broadcaster import Broadcaster
from soundpost.broadcasting.delivery.background import BackgroundDelivery
from soundpost.broadcasting.serialization import fields_of
from soundpost.broadcasting.settings import BroadcastSettings, ConnectionSettings
from soundpost.errors import BroadcastError
from soundpost.wire.messages import event as event_frame

sys.path.append(str(Path(__file__).parents[1] / "tests"))

CALLERS = 8
"""Threads or tasks that publish at the same time."""
DRAIN_SECONDS = 120.0
ROOM_SECONDS = 0.001
"""Seconds until a publisher asks again for room among the waiting events. Ten times as long leaves its core idle."""


class OrderPlaced(Event, on=Channel("bench")):
    """An event of 200 bytes."""

    text: str
    number: str


class Cost(NamedTuple):
    """Seconds per event."""

    application: float
    server: float
    clock: float


def order(number: int) -> OrderPlaced:
    return OrderPlaced("x" * 160, f"{number:010}")


def broadcaster(port: int, deliver: str) -> Broadcaster:
    connection = ConnectionSettings(app_id="1", key="bench-key", secret="bench-secret", port=port, timeout=30)
    return Broadcaster(BroadcastSettings(connections={"soundpost": connection}, deliver=deliver))


def one_after_the_other(publish: Broadcaster, events: int) -> None:
    for number in range(events):
        publish(order(number))


def from_threads(publish: Broadcaster, events: int) -> None:
    share = events // CALLERS
    threads = [threading.Thread(target=one_after_the_other, args=(publish, share)) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def from_tasks(publish: Broadcaster, events: int) -> None:
    async def some() -> None:
        for number in range(events // CALLERS):
            await publish.abroadcast(order(number))

    async def run() -> None:
        await asyncio.gather(*[some() for _ in range(CALLERS)])
        await publish.aclose()

    asyncio.run(run())


def in_the_background(publish: Broadcaster, events: int) -> None:
    for number in range(events):
        while True:
            try:
                publish(order(number))
                break
            except BroadcastError:  # as many wait as may
                time.sleep(ROOM_SECONDS)
    assert isinstance(publish.delivery, BackgroundDelivery)
    publish.delivery.drain(DRAIN_SECONDS)


def in_one_batch(publish: Broadcaster, events: int) -> None:
    with publish.batch():
        one_after_the_other(publish, events)


WAYS: dict[str, tuple[Callable[[Broadcaster, int], None], str, int]] = {
    "one after the other": (one_after_the_other, "now", 10),
    f"{CALLERS} threads": (from_threads, "now", 10),
    f"{CALLERS} tasks": (from_tasks, "now", 10),
    "in the background": (in_the_background, "background", 1),
    "in one batch": (in_one_batch, "now", 1),
}
"""Functions that publish, with the delivery they need, and how many times fewer events they publish."""


def frame_size() -> int:
    """Return the bytes in which the subscriber gets an event."""
    return len(event_frame("OrderPlaced", "bench", json.dumps(fields_of(order(0)), separators=(",", ":"))))


def measured(
    way: Callable[[Broadcaster, int], None], publish: Broadcaster, events: int, server: Process, swarm: Clients
) -> Cost:
    size = frame_size()
    way(publish, CALLERS * 10)
    swarm.receive(CALLERS * 10 * size)
    own, other, clock = time.process_time(), server.cpu(), time.perf_counter()
    way(publish, events)
    took = time.perf_counter() - clock
    cost = Cost((time.process_time() - own) / events, (server.cpu() - other) / events, took / events)
    swarm.receive(events * size)
    return cost


class WorkersCost(NamedTuple):
    """Seconds per event."""

    application: float
    parent: float
    taking: float
    delivering: float
    clock: float


def over_workers(events: int) -> WorkersCost:
    """Publish to one of two workers, with the subscriber on the other one."""
    while True:  # the kernel chooses the workers
        with running_soundpost(server={"workers": 2}) as (server, port), clients(port) as swarm:
            swarm.do("connect 1 bench")
            publish = broadcaster(port, "background")
            size = frame_size()
            in_the_background(publish, CALLERS * 10)
            swarm.receive(CALLERS * 10 * size)
            own, others, clock = time.process_time(), server.cpu_of_all(), time.perf_counter()
            in_the_background(publish, events)
            own = time.process_time() - own
            swarm.receive(events * size)
            clock = time.perf_counter() - clock
            parent, *workers = (now - before for now, before in zip(server.cpu_of_all(), others, strict=True))
            publish.close()
            if min(workers) > 0.05 * max(workers):
                costs = own, parent, max(workers), min(workers), clock
                return WorkersCost(*[seconds / events for seconds in costs])


def broken() -> int:
    """Print a row for each fault; return how many rows are wrong."""
    from gathering.faults import FAULTS, measured

    head = "| | times | accepted | refused | received | lost | missing, told | doubled | out of order | gaps |"
    print(f"{head}\n|{'---|' * 10}")
    wrong = 0
    for title, start in FAULTS.items():
        row = measured(title, start)
        print("| " + " | ".join(each if isinstance(each, str) else f"{each:,}" for each in row[:10]) + " |", flush=True)
        for reason, times in row.reasons.most_common(5):
            print(f"{title}: {times} times: {reason}", file=sys.stderr)
        wrong += row.is_wrong
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--faults", action="store_true")
    given = parser.parse_args()
    if given.faults:
        sys.exit(broken())
    on_one_core()
    with running_soundpost() as (server, port), clients(port) as swarm:
        swarm.do("connect 1 bench")

        def run(name: str) -> Callable[[], Cost]:
            way, deliver, fewer = WAYS[name]
            publish = broadcaster(port, deliver)
            return lambda: measured(way, publish, given.events // fewer // CALLERS * CALLERS, server, swarm)

        print("| | application | server | events a second |\n|---|---|---|---|")
        for name, costs in zip(WAYS, median_of(given.rounds, *map(run, WAYS)), strict=True):
            own, other, clock = (statistics.median(each) for each in zip(*costs, strict=True))
            print(f"| {name} | {own * 1e6:.1f} µs | {other * 1e6:.1f} µs | {1 / clock:,.0f} |")
    print("\n| two workers | application | parent | worker that takes | worker that delivers | events a second |")
    print("|---|---|---|---|---|---|")
    (runs,) = median_of(given.rounds, lambda: over_workers(given.events))
    *costs, clock = (statistics.median(each) for each in zip(*runs, strict=True))
    print(f"| in the background | {' | '.join(f'{cost * 1e6:.1f} µs' for cost in costs)} | {1 / clock:,.0f} |")


if __name__ == "__main__":
    main()

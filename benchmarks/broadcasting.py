"""Cost of broadcasting for an application: ``python benchmarks/broadcasting.py [--rounds 3]``.

CPU of the application's process and latency of one event over a kept connection: of ``broadcast()`` and
``abroadcast()``, and of the PyPI ``pusher`` SDK's ``trigger``, synchronous and with its asyncio back end; interleaved,
medians. The server is on core 0, the application on core 1. Also how long ``import soundpost`` takes.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pusher
import pusher.aiohttp
from processes import median_of, on_one_core
from processes import soundpost as running_soundpost

import soundpost
from soundpost import Channel, Event

APP: dict[str, Any] = {"app_id": "1", "key": "bench-key", "secret": "bench-secret"}


class OrderPlaced(Event, on=Channel("bench")):
    """An event of 200 bytes."""

    text: str
    number: int


class Cost(NamedTuple):
    """Seconds per event."""

    cpu: float
    latency: float


def measured(publish: Callable[[int], None], events: int) -> Cost:
    for number in range(50):
        publish(number)
    cpu, clock = time.process_time(), time.perf_counter()
    for number in range(events):
        publish(number)
    return Cost((time.process_time() - cpu) / events, (time.perf_counter() - clock) / events)


def ameasured(publish: Callable[[int], Awaitable[Any]], events: int) -> Cost:
    async def run() -> Cost:
        for number in range(50):
            await publish(number)
        cpu, clock = time.process_time(), time.perf_counter()
        for number in range(events):
            await publish(number)
        cost = Cost((time.process_time() - cpu) / events, (time.perf_counter() - clock) / events)
        await soundpost.broadcast.aclose()
        return cost

    return asyncio.run(run())


def import_time(what: str) -> float:
    """Milliseconds that a fresh interpreter takes for an import, beyond those for its own start."""

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    return 1e3 * statistics.median(run(what) - run("pass") for _ in range(15))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=1_000)
    given = parser.parse_args()
    on_one_core()
    with running_soundpost() as (_, port):
        soundpost.configure(**APP, port=port)
        options = {**APP, "host": "127.0.0.1", "port": port, "ssl": False}
        sdk = pusher.Pusher(**options)
        async_sdk = pusher.Pusher(**options, backend=pusher.aiohttp.AsyncIOBackend)
        text = "x" * 180
        ways: dict[str, Callable[[], Cost]] = {
            "broadcast(event)": lambda: measured(lambda n: soundpost.broadcast(OrderPlaced(text, n)), given.events),
            "pusher.trigger(…)": lambda: measured(
                lambda n: sdk.trigger("bench", "OrderPlaced", {"text": text, "number": n}), given.events
            ),
            "await abroadcast(event)": lambda: ameasured(
                lambda n: soundpost.abroadcast(OrderPlaced(text, n)), given.events
            ),
            "await pusher.trigger(…) (aiohttp)": lambda: ameasured(
                lambda n: async_sdk.trigger("bench", "OrderPlaced", {"text": text, "number": n}), given.events
            ),
        }
        print("| | CPU of the application | latency |\n|---|---|---|")
        for name, costs in zip(ways, median_of(given.rounds, *ways.values()), strict=True):
            cpu = statistics.median(cost.cpu for cost in costs) * 1e6
            latency = statistics.median(cost.latency for cost in costs) * 1e6
            print(f"| `{name}` | {cpu:.0f} µs | {latency:.0f} µs |")
    print(f"\nimport soundpost: {import_time('import soundpost'):.0f} ms;", end=" ")
    print(
        f"with broadcast, ready to send: {import_time('import soundpost; soundpost.broadcast.drivers'):.0f} ms;",
        end=" ",
    )
    print(f"import pusher: {import_time('import pusher'):.0f} ms")


if __name__ == "__main__":
    main()

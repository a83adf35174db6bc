"""Savings of compression on the wire, and its cost in CPU: ``python benchmarks/compression.py [--rounds 3]``.

One channel with 1,000 subscribers, events of 0.3 to 10 kB of JSON such as applications send, plain and compressed in
turns; method as in ``budgets.py``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics

from processes import Publisher, clients, median_of, on_one_core, soundpost

from soundpost.wire import messages
from soundpost.wire.compression import Deflater

SUBSCRIBERS, EVENTS = 1_000, 40


def orders(size: int) -> str:
    """JSON of about ``size`` bytes: a list of orders with ids, names, prices and times."""
    choice = random.Random(size)
    found: list[dict[str, object]] = []
    while len(json.dumps(found)) < size:
        found.append(
            {
                "id": choice.randrange(10**6),
                "customer": "".join(choice.choices("abcdefghijklmnopqrstuvwxyz", k=9)).title(),
                "status": choice.choice(["placed", "paid", "shipped", "returned"]),
                "total": f"{choice.uniform(5, 500):.2f}",
                "placed_at": f"2026-05-{choice.randint(1, 28):02}T12:{choice.randint(0, 59):02}Z",
            }
        )
    return json.dumps(found)[:size]


def fan_out(data: str, protocol: str) -> tuple[float, int]:
    """Seconds of CPU per delivery, bytes on the wire per delivery."""
    frame = messages.event("OrderPlaced", "bench", data)
    size = len(Deflater(512).frame(frame) if protocol == "deflate" else frame)
    with soundpost() as (process, port), clients(port, protocol) as swarm:
        swarm.do(f"connect {SUBSCRIBERS} bench")
        publish = Publisher(port)
        before = process.cpu()
        for _ in range(EVENTS):
            publish(data=data)
        received = swarm.do(f"received {size * EVENTS * SUBSCRIBERS}")["received"]
        return (process.cpu() - before) / (EVENTS * SUBSCRIBERS), received // (EVENTS * SUBSCRIBERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    on_one_core()
    print("| event data | bytes, plain | compressed | CPU per delivery, plain | compressed |\n|---|---|---|---|---|")
    for size in (300, 1_000, 4_000, 10_000):
        data = orders(size)
        plain, small = median_of(rounds, lambda d=data: fan_out(d, "pusher"), lambda d=data: fan_out(d, "deflate"))  # type: ignore[misc]
        cpu = [statistics.median(run[0] for run in runs) * 1e6 for runs in (plain, small)]
        saved = f"{small[0][1]:,} ({small[0][1] / plain[0][1]:.0%})"
        print(f"| {size:,} B | {plain[0][1]:,} | {saved} | {cpu[0]:.2f} µs | {cpu[1]:.2f} µs |", flush=True)


if __name__ == "__main__":
    main()

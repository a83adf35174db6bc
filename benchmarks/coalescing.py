"""Cost of a delivery when many publish at once: ``python benchmarks/coalescing.py [--rounds 3]``.

One channel with 1,000 subscribers; 1, 8 and 32 publishers, each waiting for its answer before it publishes again. The
frames of one loop turn leave as one write per subscriber. Method as in ``budgets.py``; the floor sends each event on
its own.
"""

from __future__ import annotations

import argparse
import statistics

from fan_out import fan_out
from processes import FRAME, clients, median_of, on_one_core, publish_request, soundpost

SUBSCRIBERS, EVENTS = 1_000, 320


def concurrent(publishers: int) -> float:
    """Seconds of CPU per delivery."""
    with soundpost() as (process, port), clients(port) as swarm:
        swarm.do(f"connect {SUBSCRIBERS} bench")
        before = process.cpu()
        swarm.do(f"publish {publishers} {EVENTS // publishers} {publish_request().hex()}")
        swarm.do(f"received {len(FRAME) * EVENTS * SUBSCRIBERS}")
        return (process.cpu() - before) / (EVENTS * SUBSCRIBERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    on_one_core()
    bare, *ours = median_of(
        rounds,
        lambda: fan_out("floor", SUBSCRIBERS, 100).delivery,
        lambda: concurrent(1),
        lambda: concurrent(8),
        lambda: concurrent(32),
    )
    print("| publishers | CPU per delivery | floor, each event on its own | ratio |\n|---|---|---|---|")
    for publishers, runs in zip((1, 8, 32), ours, strict=True):
        cpu, base = statistics.median(runs), statistics.median(bare)
        ratio = statistics.median(mine / theirs for mine, theirs in zip(runs, bare, strict=True))
        print(f"| {publishers} | {cpu * 1e6:.2f} µs | {base * 1e6:.2f} µs | **{ratio:.2f}** |")


if __name__ == "__main__":
    main()

"""Measure what the server costs, beside a bare C loop of ``send()``, and print it as a table.

``python benchmarks/budgets.py [--rounds 3]``: Linux, two cores, a C compiler; a few minutes. The server runs on core 0,
clients and this script on core 1. A figure is CPU time of the server's process (user and system, of its CPU-time clock)
over the work done, median of interleaved rounds; wall time plays no part.
"""

from __future__ import annotations

import argparse
import statistics
import time

from fan_out import fan_out, running
from processes import Publisher, clients, median_of, on_one_core, soundpost
from subjects.presence import joins


def publishing(others: int, socket_id: str | None) -> float:
    """Seconds per publish to a channel with one subscriber, while other channels have so many."""
    with soundpost() as (process, port), clients(port) as swarm:
        swarm.do("connect 1 bench")
        if others:
            swarm.do(f"connect {others} other-{{i}}")
        publish = Publisher(port)
        for _ in range(500):
            publish(socket_id)
        before = process.cpu()
        for _ in range(3000):
            publish(socket_id)
        return (process.cpu() - before) / 3000


def client_events(server: str = "soundpost", count: int = 2_000) -> float:
    """Seconds per client event to one other member."""
    protocol = "floor" if server == "floor" else "pusher"
    with running(server) as (process, port, _), clients(port, protocol) as swarm:
        swarm.do("connect 2 private-bench")
        swarm.do("whisper 200 private-bench")
        before = process.cpu()
        swarm.do(f"whisper {count} private-bench")
        return (process.cpu() - before) / count


def disconnects(others: int, count: int = 500) -> float:
    """Seconds per disconnect of a client with a channel of its own, while so many others have theirs."""
    with soundpost() as (process, port), clients(port) as swarm:
        swarm.do(f"connect {others + count} own-{{i}}")
        before = process.cpu()
        swarm.do(f"disconnect {count}")
        time.sleep(1)
        return (process.cpu() - before) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    on_one_core()
    med = statistics.median

    def row(what: str, figure: str, limit: str) -> None:
        print(f"| {what} | {figure} | {limit} |", flush=True)

    print("| what | measured | budget |\n|---|---|---|")
    for count, events in ((1_000, 100), (10_000, 15)):
        base, ours = median_of(
            rounds,
            lambda n=count, e=events: fan_out("floor", n, e),  # type: ignore[misc]
            lambda n=count, e=events: fan_out("soundpost", n, e),  # type: ignore[misc]
        )
        ratio = med(mine.delivery / bare.delivery for mine, bare in zip(ours, base, strict=True))
        cpu, bare_cpu = (med(run.delivery for run in runs) * 1e6 for runs in (ours, base))
        row(
            f"fan-out to {count:,}: CPU per delivery",
            f"{cpu:.2f} µs, floor {bare_cpu:.2f} µs, ratio **{ratio:.2f}**",
            "1.15 × floor",
        )
    opening, bare = (med(run.connect for run in runs) * 1e6 for runs in (ours, base))
    row("connect and subscribe: CPU", f"**{opening:.0f} µs**, floor {bare:.0f} µs", "90 µs")
    row("RSS per subscribed connection (10,000)", f"**{med(run.memory for run in ours):,.0f} B**", "1,600 B")
    plain, excepting, alone, base = median_of(
        rounds,
        lambda: publishing(10_000, None),
        lambda: publishing(10_000, "1.1"),
        lambda: publishing(0, None),
        lambda: fan_out("floor", 1, 3_000),
    )
    bare = med(run.delivery for run in base) * 1e6
    row(
        "publish, keep-alive, one subscriber: CPU",
        f"**{med(alone) * 1e6:.0f} µs**, floor (reads, sends, answers) {bare:.0f} µs",
        "100 µs",
    )
    row(
        "the same beside 10,000 subscriptions, without and with `socket_id`",
        f"{med(plain) * 1e6:.0f} µs and **{med(excepting) * 1e6:.0f} µs**",
        "the same",
    )
    base, whispers = median_of(rounds, lambda: client_events("floor"), client_events)
    bare = med(base) * 1e6
    row("client event to one other member: CPU", f"**{med(whispers) * 1e6:.0f} µs**, floor {bare:.0f} µs", "60 µs")
    few, many = median_of(rounds, lambda: joins(200), lambda: joins(2_000))
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

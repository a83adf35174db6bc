"""Compare two installations of Soundpost, such as a pure one and a compiled one: ``compiled.py PYTHON PYTHON``.

Each PYTHON is an interpreter that has Soundpost installed, the first is what the second is compared with. Linux, two
cores. A figure is CPU time of the server's process over the work done, median of interleaved rounds; a ratio is the
median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Row = Callable[[], dict[str, float]]


def delivering() -> dict[str, float]:
    from fan_out import fan_out

    run = fan_out("soundpost", 1_000, 100)
    return {"delivery to 1,000 subscribers, one publisher, µs": run.delivery * 1e6}


def connecting() -> dict[str, float]:
    from fan_out import fan_out

    run = fan_out("soundpost", 6_000, 1)
    return {"connect and subscribe, µs": run.connect * 1e6, "memory of a subscribed connection, B": run.memory}


def coalescing() -> dict[str, float]:
    from subjects.publishers import measured

    return {"delivery to 1,000 subscribers, eight publishers, µs": measured("soundpost", 8)["delivery_us"]}


def publishing() -> dict[str, float]:
    from budgets import publishing

    return {"publish, one subscriber, µs": publishing(0, None) * 1e6}


def client_events() -> dict[str, float]:
    from budgets import client_events

    return {"client event to one other member, µs": client_events() * 1e6}


def disconnecting() -> dict[str, float]:
    from budgets import disconnects

    return {"disconnect with an own channel, µs": disconnects(500) * 1e6}


def starting() -> dict[str, float]:
    """Import what ``soundpost start`` imports, in a process of its own; the best of three finds it in the cache."""
    code = """if True:
        import resource, time
        import soundpost.server.processes.run
        print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split() for _ in range(3)]
    return {
        "import of the server, ms": min(float(seconds) for seconds, _ in runs) * 1e3,
        "memory after that, MB": min(int(kilobytes) for _, kilobytes in runs) / 1e3,
    }


ROWS: dict[str, Row] = {
    row.__name__: row
    for row in (delivering, coalescing, publishing, client_events, connecting, disconnecting, starting)
}


def measured(python: str, row: str) -> dict[str, float]:
    command = [python, str(Path(__file__).resolve()), "--row", row]
    for _ in range(3):  # the free port of a server may be another's when the server starts
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode == 0:
            break
    done.check_returncode()
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row is not None:
        os.sched_setaffinity(0, {1})
        print(json.dumps(ROWS[arguments.row]()))
        return
    if len(arguments.pythons) != 2:
        parser.error("name two interpreters: what is compared with, and what is compared")
    print("| what | first | second | ratio |\n|---|---|---|---|")
    for row in arguments.rows:
        rounds = [[measured(python, row) for python in arguments.pythons] for _ in range(arguments.rounds)]
        for name in rounds[0][0]:
            first, second = (statistics.median(each[which][name] for each in rounds) for which in (0, 1))
            ratio = statistics.median(each[1][name] / each[0][name] for each in rounds)
            what, unit = name.rsplit(", ", 1)
            print(f"| {what} | {first:,.2f} {unit} | {second:,.2f} {unit} | **{ratio:.2f}** |", flush=True)


if __name__ == "__main__":
    main()

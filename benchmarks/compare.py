"""Compare installations of Soundpost, such as a former version and a compiled one: ``compare.py PYTHON PYTHON …``.

Each PYTHON is an interpreter that has Soundpost installed; the first is what the others are compared with. The floor
(``floor.c``), which takes its turn in the same rounds, does what the kernel asks for and nothing else. Linux, two
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

Row = Callable[[str], dict[str, float]]
"""Measure a server, "soundpost" of the running interpreter or the "floor"; return figures by name and unit."""


def delivering(server: str) -> dict[str, float]:
    from fan_out import fan_out

    run = fan_out(server, 1_000, 400)
    return {"delivery to 1,000 subscribers, one publisher, µs": run.delivery * 1e6}


def delivering_to_many(server: str) -> dict[str, float]:
    from fan_out import fan_out

    # Most of the events come after the first 16 segments of a connection, which the kernel acknowledges one by one.
    run = fan_out(server, 10_000, 50)
    return {
        "delivery to 10,000 subscribers, one publisher, µs": run.delivery * 1e6,
        "connect and subscribe, µs": run.connect * 1e6,
        "memory of a subscribed connection, B": run.memory,
    }


def coalescing(server: str) -> dict[str, float]:
    from subjects.publishers import floor, measured

    run = floor() if server == "floor" else measured(server, 8)
    return {"delivery to 1,000 subscribers, eight publishers, µs": run["delivery_us"]}


def publishing(server: str) -> dict[str, float]:
    from budgets import publishing
    from fan_out import fan_out

    seconds = fan_out(server, 1, 3_000).delivery if server == "floor" else publishing(0, None)
    return {"publish, one subscriber, µs": seconds * 1e6}


def client_events(server: str) -> dict[str, float]:
    from budgets import client_events

    return {"client event to one other member, µs": client_events(server) * 1e6}


def disconnecting(server: str) -> dict[str, float]:
    from budgets import disconnects

    return {"disconnect with an own channel, µs": disconnects(500) * 1e6}


def starting(server: str) -> dict[str, float]:
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
    for row in (
        delivering,
        delivering_to_many,
        coalescing,
        publishing,
        client_events,
        disconnecting,
        starting,
    )
}
WITHOUT_FLOOR = ("disconnecting", "starting")
"""Rows of what the floor does not do."""


def measured(python: str, row: str, server: str) -> dict[str, float]:
    command = [python, str(Path(__file__).resolve()), "--row", row, "--server", server]
    for _ in range(3):  # the free port of a server may be another's when the server starts
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode == 0:
            break
    done.check_returncode()
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def table_rows(row: str, pythons: list[str], rounds: int) -> Iterator[str]:
    """Measure a row in so many rounds, and yield a line of the table for each of its figures."""
    candidates = [(python, row, "soundpost") for python in pythons]
    if row not in WITHOUT_FLOOR:
        candidates.append((sys.executable, row, "floor"))
    results = [[measured(*candidate) for candidate in candidates] for _ in range(rounds)]
    for name in results[0][0]:
        what, unit = name.rsplit(", ", 1)
        columns = list(zip(*([figures[name] for figures in each] for each in results), strict=True))
        cells = []
        for at, column in enumerate(columns):
            cell = f"{statistics.median(column):,.2f} {unit}"
            if 0 < at < len(pythons):
                cell += f", **{ratio(column, columns[0]):.2f}**"
            elif at and unit == "µs":
                cell += f"; {' and '.join(f'{ratio(each, column):.2f}' for each in columns[:at])} ×"
            cells.append(cell if unit == "µs" or at < len(pythons) else "–")
        cells += ["–"] * (len(pythons) + 1 - len(cells))
        yield f"| {what} | {' | '.join(cells)} |"


def ratio(figures: Sequence[float], base: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(mine / other for mine, other in zip(figures, base, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--server", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row is not None:
        os.sched_setaffinity(0, {1})
        print(json.dumps(ROWS[arguments.row](arguments.server)))
        return
    if len(arguments.pythons) < 2:
        parser.error("name two interpreters or more: what is compared with, and what is compared")
    print(f"| what | {' | '.join(arguments.pythons)} | floor; × floor |")
    print(f"|---|{'--:|' * (len(arguments.pythons) + 1)}")
    for row in arguments.rows:
        for line in table_rows(row, arguments.pythons, arguments.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()

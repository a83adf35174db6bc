"""Webhooks that an application gets while something is broken, and their cost: ``python benchmarks/webhooks.py``.

Needs redis-server. Users come, speak by a client event and go for good, others stay and come back whenever they are
cut off. Meanwhile one thing breaks and is mended (``hearing/faults.py``): the endpoint, the server, a worker, a host,
or Redis. In the end what the endpoint's handler got is compared with what happened (``hearing/expected.py``).

``--costs`` measures the CPU time of a client event and of a join with and without webhooks, and 10,000 joins in 10 s.

Prints a table: ``lost`` are events that happened and never came, ``doubled`` those that a handler got under two ids,
``repeated`` those that came again under their id, which a handler drops, ``false ends`` users that were told to have
gone and were there, ``wrong`` states that the application has got wrong in the end. Every row goes into
``benchmarks/results/webhooks.json``.

Exits 1 if anything was lost where nothing may be, doubled, false or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from machine import RESULTS, machine
from processes import NotMeasuredError, at_most, need_files, on_one_core

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from hearing.costs import compared, mass_of_joins
from hearing.faults import Fault, faults
from hearing.trial import Row, measured

LIMIT = 120.0
"""Seconds for one fault beside the time for which its endpoint is down."""
COLUMNS = (
    "fault",
    "events",
    "delivered",
    "lost",
    "came and went unseen",
    "doubled at the handler",
    "repeated, dropped by id",
    "false ends",
    "wrong in the end",
    "all delivered after",
)
FILE = "webhooks.json"


def as_result(row: Row) -> dict[str, Any]:
    """Return a row as it stands in the file of results."""
    verdict = row.verdict
    return {
        "fault": row.fault.title,
        "events": verdict.expected,
        "delivered": verdict.delivered,
        "lost": len(verdict.lost),
        "unseen": verdict.unseen,
        "doubled": len(verdict.doubled),
        "repeated": row.repeated,
        "false_ends": len(verdict.false_ends),
        "wrong": verdict.wrong,
        "seconds": round(row.seconds, 1),
        "requests": row.requests,
        "handled": row.heard,
        "delay_ms": round(row.delay * 1000, 1),
        "disorder": len(verdict.disorder),
        "is_right": row.is_right,
    }


def as_line(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    names = ("events", "delivered", "lost", "unseen", "doubled", "repeated", "false_ends", "wrong")
    return f"| {row['fault']} | {' | '.join(f'{row[name]:,}' for name in names)} | {row['seconds']} s |"


def store(part: str, content: object) -> None:
    """Write a part of the results."""
    file = RESULTS / FILE
    document = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**document, "machine": machine(), part: content}, indent=1) + "\n")


def is_right(fault: Fault, options: argparse.Namespace, rows: dict[str, dict[str, Any]]) -> bool:
    """Measure a fault, and print what was found."""
    try:
        with at_most(LIMIT + options.down):
            row = asyncio.run(measured(fault, options.stayers, options.rate))
    except (AssertionError, NotMeasuredError, OSError, EOFError, KeyError) as error:
        print(f"{fault.title}: not measured: {error!r}", file=sys.stderr, flush=True)
        return False
    rows[fault.title] = as_result(row)
    store("faults", list(rows.values()))
    print(as_line(rows[fault.title]), flush=True)
    verdict = row.verdict
    for sentence in [
        *(f"lost: {each}" for each in verdict.lost[:10]),
        *(f"twice: {each}" for each in verdict.doubled[:10]),
        *(f"false end: {each}" for each in verdict.false_ends[:10]),
        *(f"in no order: {each}" for each in verdict.disorder[:10]),
    ]:
        print(f"{fault.title}: {sentence}", file=sys.stderr, flush=True)
    return row.is_right


def measure_costs(rounds: int) -> None:
    """Measure what webhooks cost, and print it."""
    on_one_core()
    found = compared(rounds)
    for name, (without, with_webhooks) in found.items():
        print(f"{name}: {without} without, {with_webhooks} with webhooks", flush=True)
    masses = {name: mass_of_joins(name == "with") for name in ("without", "with")}
    for name, mass in masses.items():
        print(f"10,000 joins {name} webhooks: {mass}", flush=True)
    store("costs", {**found, "mass_of_joins": masses})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="*", choices=list(faults(0)), metavar="NAME", help="of: %(choices)s")
    parser.add_argument("--down", type=float, default=240, help="seconds of the long fault (default: %(default)s)")
    parser.add_argument("--stayers", type=int, default=40, help="users who stay (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10, help="users a second who come and go (default: %(default)s)")
    parser.add_argument("--costs", action="store_true", help="measure what webhooks cost, and no fault")
    parser.add_argument("--rounds", type=int, default=5, help="of the costs (default: %(default)s)")
    options = parser.parse_args()
    need_files(1_000)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # what was started is ended on the way out
    if options.costs:
        measure_costs(options.rounds)
        return
    known = faults(options.down)
    file = RESULTS / FILE
    kept = json.loads(file.read_text()).get("faults", []) if file.exists() else []
    rows: dict[str, dict[str, Any]] = {row["fault"]: row for row in kept}
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    results = [is_right(known[name], options, rows) for name in options.faults or known]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()

"""Lost, doubled and wrong events when something breaks: ``python benchmarks/faults.py [--quick] [--faults NAME ...]``.

Needs redis-server. Hosts, each a process, on one Redis, with two clients each: a user that every host has, and one of
its own. While 60 events a second are published on them in turn over the HTTP API, one thing breaks and is mended
(``faulting/kinds.py``); then every host and every client is asked what it knows. All of it takes seven minutes, two
cores, and for the fifty hosts 1.5 GB. Prints a table; what was lost between which hosts, and when, goes to standard
error. Exits 1 if anything came twice or stayed wrong, or could not be measured.

A delivery counts as lost if an event that was answered with 200 did not reach a client that was connected throughout;
so do those to clients of a host that alone is cut off, which do not get what others publish meanwhile.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from processes import NotMeasuredError, at_most

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from faulting.account import CALM_SECONDS, Row, measured
from faulting.kinds import Fault, faults

LONGEST, QUICK = 120.0, 20.0
"""Seconds of the long outage."""
MARGIN = 180.0
"""Seconds for all else: starting, becoming calm twice, ending."""
COLUMNS = (
    "fault",
    "seconds",
    "events",
    "deliveries",
    "received",
    "lost",
    "double",
    "wrong presence after",
    "calm again after",
)


def as_line(row: Row) -> str:
    """A row of the table."""
    cells = (
        row.title,
        f"{row.seconds:.0f}" if row.seconds >= 0.5 else "–",
        f"{row.events:,}",
        f"{row.expected:,}",
        f"{row.received:,}",
        f"{row.expected - row.received:,}",
        f"{row.double:,}",
        f"{row.wrong:,}",
        f"not in {CALM_SECONDS:.0f} s" if row.calm is None else f"{row.calm:.1f} s",
    )
    return f"| {' | '.join(cells)} |"


def is_right(fault: Fault) -> bool:
    """Measure, and print what was found."""
    try:
        with at_most(fault.seconds + MARGIN):
            row = measured(fault)
    except (AssertionError, NotMeasuredError, OSError, EOFError) as error:
        print(f"{fault.title}: not measured: {error!r}", file=sys.stderr, flush=True)
        return False
    print(as_line(row), flush=True)
    for note in row.notes:
        print(f"{fault.title}: {note}", file=sys.stderr, flush=True)
    return row.right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="+", choices=list(faults(LONGEST)), metavar="NAME", help="of: %(choices)s")
    parser.add_argument("--quick", action="store_true", help=f"the long outage takes {QUICK:.0f} s")
    options = parser.parse_args()
    known = faults(QUICK if options.quick else LONGEST)
    # What was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    results = [is_right(known[name]()) for name in options.faults or known]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()

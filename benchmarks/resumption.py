"""What clients that resume were given when something broke: ``python benchmarks/resumption.py [--faults NAME ...]``.

Needs redis-server and nginx. Clients on several channels with history note what they are given, publishers note what
was acknowledged. Meanwhile one thing breaks and is mended (``tests/support/resumption/faults.py``), and after that
random sequences of such things on the same servers, whose seeds are in the table. In the end each client's list on each
channel is compared with what was published, in the order that the server gave it, and so is the history that the HTTP
API gives. All of it takes about 12 minutes on two cores.

Prints a table: ``lost`` are events that a client was not given, ``gaps told`` what it was told of that, ``gaps not
told`` places where something is missing in silence. ``false gaps`` are gaps where nothing is missing. Every row goes
into ``benchmarks/results/resumption.json``. Exits 1 if anything came twice, in a wrong order, to its own sender, or is
missing in silence, or if a gap was false where no history was lost.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from growth import RESULTS, machine
from processes import NotMeasuredError, at_most, need_files

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from resuming.rows import COLUMNS, Row, measured

from support.node_process import NodeError
from support.resumption.faults import FAULTS, Fault
from support.resumption.sequences import sequence
from support.resumption.trial import Size
from support.resumption.verdict import add_up

LIMIT = 150.0
"""Seconds for one fault, or one sequence."""


class Runner:
    """Runs faults until the time is up, and writes what came of them."""

    def __init__(self, size: Size, minutes: float, results: Path) -> None:
        self.rows: list[Row] = []
        self.is_right = True
        self._size = size
        self._deadline = time.monotonic() + 60 * minutes
        self._results = results
        self._not_measured: list[dict[str, str]] = []

    def run(self, fault: Fault) -> None:
        """Measure one, and print its row."""
        try:
            left = self._deadline - time.monotonic()
            if left < 1:
                raise NotMeasuredError("the time was over")
            with at_most(min(LIMIT, left)):
                row = measured(fault, self._size)
        except (AssertionError, NodeError, NotMeasuredError, OSError, EOFError, KeyError) as error:
            print(f"{fault.title}: not measured: {error!r}", file=sys.stderr, flush=True)
            self._not_measured.append({"fault": fault.title, "not_measured": repr(error)})
            self.is_right = False
        else:
            self.rows.append(row)
            print(row.as_line(), flush=True)
            self._explain(row)
        self._write()

    def _explain(self, row: Row) -> None:
        account = row.account
        self.is_right = self.is_right and not row.wrong
        found: list[Any] = [*row.wrong]
        if row.wrong:
            found += [*account.total.wrong_notes(), *account.behind[:3], *account.complaints[:5]]
            found += [] if row.may_be_lost else account.total.notes.get("false_gaps", [])
        for sentence in found:
            print(f"{row.title}: {sentence}", file=sys.stderr, flush=True)

    def total(self) -> str:
        """The last row of the table."""
        total = add_up(row.account.total for row in self.rows)
        events = sum(row.account.events for row in self.rows)
        cells = (
            "**all**",
            f"{sum(row.seconds for row in self.rows):.0f}",
            *(
                f"{figure:,}"
                for figure in (
                    events,
                    total.deliveries,
                    total.lost,
                    total.doubled,
                    total.out_of_order,
                    total.gaps,
                    total.untold,
                    total.false_gaps,
                )
            ),
            "",
        )
        return f"| {' | '.join(cells)} |"

    def _write(self) -> None:
        rows = [*(row.as_result() for row in self.rows), *self._not_measured]
        document = {"machine": machine(), "rows": rows}
        (self._results / "resumption.json").write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="*", choices=list(FAULTS), metavar="NAME", help="of: %(choices)s")
    parser.add_argument("--random", type=int, default=6, help="how many random sequences (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="of the first one")
    parser.add_argument("--kinds", nargs="+", default=None, help="servers of the sequences: one process, …")
    parser.add_argument("--clients", type=int, default=60, help="of each of two crowds (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=120, help="requests a second (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=20, help="stop then (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    options = parser.parse_args()
    need_files(1_000 + 8 * options.clients)
    # What was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    options.results.mkdir(parents=True, exist_ok=True)
    size = Size(steady=options.clients, afflicted=options.clients, rate=options.rate, seed=str(options.seed))
    runner = Runner(size, options.minutes, options.results)
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    for name in FAULTS if options.faults is None else options.faults:
        runner.run(FAULTS[name])
    for number in range(options.random):
        kinds = {"kinds": tuple(options.kinds)} if options.kinds else {}
        runner.run(sequence(options.seed + number, **kinds))
    print(runner.total(), flush=True)
    sys.exit(not runner.is_right)


if __name__ == "__main__":
    main()

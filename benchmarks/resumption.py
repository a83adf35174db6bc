"""Events that resuming clients get when something breaks: ``python benchmarks/resumption.py [--faults NAME ...]``.

Needs redis-server and nginx. Clients on several channels with history note what they are given, publishers note what
was acknowledged. Meanwhile one thing breaks and is mended (``tests/support/resumption/faults.py``), and after that
random sequences of such things on the same servers, whose seeds are in the table. In the end each client's list on each
channel is compared with what was published, in the order that the server gave it, and so is the history that the HTTP
API gives. ``docs/resumption-trials.md`` says what else is checked, and how.

Prints a table: ``lost`` are events that a client was not given, ``gaps told`` what it was told of that, ``gaps not
told`` places where something is missing in silence. ``false gaps`` are gaps where nothing is missing. ``longest turn``
is CPU time of a server's event loop in one turn. Every row goes into ``benchmarks/results/resumption.json``.

With ``--keep`` the rows that are there and right stay, and only the others are measured: so a run can be done in parts.
A part of about 12 minutes: ``--seed 1 --keep --minutes 11``, again until it exits with 0.
``--page`` measures nothing, and writes the results into ``docs/resumption-trials.md`` if all of them are right.

Exits 1 if anything came twice, in a wrong order, to its own sender, or is missing in silence, if a gap was false where
no history was lost, or if a fault was not measured; 2 if the time was over before all were.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machine import RESULTS, machine
from processes import NotMeasuredError, at_most, need_files

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from resuming.page import write_page
from resuming.rows import head, line, measured, table

from support.node_process import NodeError
from support.resumption.faults import FAULTS, Fault
from support.resumption.sequences import KINDS, sequence
from support.resumption.trial import Size

LIMIT = 180.0
"""Seconds for one fault, or one sequence."""
NOT_MEASURED = (
    AssertionError,
    EOFError,
    KeyError,
    NodeError,
    NotMeasuredError,
    OSError,
    json.JSONDecodeError,
    subprocess.SubprocessError,
)
"""What is raised if a process ends, or does not answer in time."""


class Runner:
    """Runs faults until the time is up, and writes what came of them. ``known``: rows that stay as they are."""

    def __init__(self, size: Size, minutes: float, file: Path, known: dict[str, dict[str, Any]]) -> None:
        self.rows = known
        self.is_out_of_time = False
        self._size = size
        self._deadline = time.monotonic() + 60 * minutes
        self._file = file

    def run(self, fault: Fault) -> None:
        """Measure one, unless its row is known, and print its row."""
        if fault.title in self.rows:
            return
        left = self._deadline - time.monotonic()
        if left < 1:
            self.is_out_of_time = True
            return
        began = time.monotonic()
        try:
            with at_most(min(LIMIT, left + 60)):
                row = measured(fault, self._size)
        except NOT_MEASURED as error:
            print(f"{fault.title}: not measured: {error!r}", file=sys.stderr, flush=True)
            self.rows[fault.title] = {"fault": fault.title, "not_measured": repr(error)}
        else:
            self.rows[fault.title] = {**row.as_result(), "whole_seconds": round(time.monotonic() - began, 1)}
            print(line(self.rows[fault.title]), flush=True)
            for sentence in row.sentences():
                print(f"{row.title}: {sentence}", file=sys.stderr, flush=True)
        document = {"machine": machine(), "rows": list(self.rows.values())}
        self._file.write_text(json.dumps(document, indent=1) + "\n")

    @property
    def exit_code(self) -> int:
        """0 if all is right and nothing is left to be measured."""
        if any(not is_right(row) for row in self.rows.values()):
            return 1
        return 2 if self.is_out_of_time else 0


def is_right(row: dict[str, Any]) -> bool:
    """Whether it was measured, and nothing is wrong."""
    return "not_measured" not in row and not row["wrong"]


def rows_in(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of results, if it is there."""
    if not file.exists():
        return []
    rows: list[dict[str, Any]] = json.loads(file.read_text())["rows"]
    return rows


def chosen(options: argparse.Namespace) -> Iterator[Fault]:
    """The faults, and the sequences of each kind of servers."""
    for name in FAULTS if options.faults is None else options.faults:
        yield FAULTS[name]
    for number in range(options.random):
        for kind in options.kinds:
            yield sequence(options.seed + number, (kind,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="*", choices=list(FAULTS), metavar="NAME", help="of: %(choices)s")
    parser.add_argument("--random", type=int, default=2, help="random sequences of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="of the first ones")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="servers of the sequences")
    parser.add_argument("--clients", type=int, default=60, help="of each of two crowds (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=120, help="requests a second (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="begin nothing after that (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    parser.add_argument("--keep", action="store_true", help="measure only what has no row, or a wrong one")
    parser.add_argument("--page", action="store_true", help="write docs/resumption-trials.md, and measure nothing")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    file: Path = options.results / "resumption.json"
    if options.page:
        rows = rows_in(file)
        if wrong := [row["fault"] for row in rows if not is_right(row)]:
            sys.exit(f"{file}: wrong or not measured: {'; '.join(wrong)}. Measure again with --keep")
        write_page(rows)
        return
    need_files(1_000 + 8 * options.clients)
    # What was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    size = Size(steady=options.clients, afflicted=options.clients, rate=options.rate, seed=str(options.seed))
    known = {row["fault"]: row for row in rows_in(file) if options.keep and is_right(row)}
    runner = Runner(size, options.minutes, file, known)
    print(head(), flush=True)
    for fault in chosen(options):
        runner.run(fault)
    print(table(row for row in runner.rows.values() if "not_measured" not in row).splitlines()[-1], flush=True)
    sys.exit(runner.exit_code)


if __name__ == "__main__":
    main()

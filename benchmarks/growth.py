"""Measure how costs grow, of Soundpost and of what else there is: ``python benchmarks/growth.py [--rounds 3]``.

``pip install -e '.[benchmarks]'`` first; Linux, two cores, a C compiler, redis-server, 19,100 open files; about 14
minutes with three rounds, and never more than ``--minutes``. Method as in ``budgets.py``. Every run goes into
``benchmarks/results/SUBJECT.json``, of which ``report.py`` makes tables and plots; what could not be measured is there
with its reason.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

from machine import RESULTS, keep
from processes import NotMeasuredError, at_most, on_one_core
from subjects import channels, hosts, payload, presence, publishers, subscribers, workers
from subjects.subject import Measure, Subject

SUBJECTS = {
    module.SUBJECT.name: module.SUBJECT
    for module in (subscribers, publishers, payload, channels, presence, workers, hosts)
}


class Runner:
    """Runs measures in turn until the time is up."""

    def __init__(self, rounds: int, minutes: float) -> None:
        self._rounds = rounds
        self._deadline = time.monotonic() + minutes * 60
        self._minutes = minutes

    def run(self, subject: Subject, largest: int, results: Path) -> None:
        """Measure a subject, and write what there is after each size."""
        rows: list[dict[str, Any]] = []
        for size in subject.sizes:
            if size <= largest:
                rows += self._size(subject, size)
                keep(results, subject.name, self._rounds, rows)

    def _size(self, subject: Subject, size: int) -> list[dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        candidates = subject.candidates(size)
        for name in candidates:
            rows[name] = {"size": size, "candidate": name, "runs": []}
        for number in range(self._rounds):
            for name, measure in candidates.items():
                if "not_measured" not in rows[name]:
                    self._one(
                        rows[name], measure, subject.seconds, f"{subject.name} {size:,}: {name}, round {number + 1}"
                    )
        return [*rows.values()]

    def _one(self, row: dict[str, Any], measure: Measure, seconds: float, what: str) -> None:
        began = time.monotonic()
        left = self._deadline - began
        try:
            if left < 1:
                raise NotMeasuredError(f"the {self._minutes:g} minutes were over")
            with at_most(min(seconds, left)):
                row["runs"].append(measure())
            outcome = ", ".join(f"{name} {figure:,}" for name, figure in row["runs"][-1].items())
        except NotMeasuredError as error:
            row["not_measured"] = outcome = str(error)
        except Exception as error:
            row["not_measured"] = outcome = f"{type(error).__name__}: {error}"
        print(f"{what} ({time.monotonic() - began:.1f} s): {outcome}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(SUBJECTS), help="subjects, joined by commas (default: %(default)s)")
    parser.add_argument("--largest", type=int, default=sys.maxsize, help="leave out sizes above this")
    parser.add_argument("--minutes", type=float, default=25, help="stop measuring then (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - SUBJECTS.keys():
        parser.error(f"no such subject: {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    # An end from outside ends what was started, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    on_one_core()
    began = time.monotonic()
    runner = Runner(options.rounds, options.minutes)
    for name in chosen:
        runner.run(SUBJECTS[name], options.largest, options.results)
    print(f"{(time.monotonic() - began) / 60:.1f} minutes; now: python benchmarks/report.py", file=sys.stderr)


if __name__ == "__main__":
    main()

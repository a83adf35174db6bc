"""One fault from beginning to end, and its row of the table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Final

import msgspec

from support.resumption.account import Account
from support.resumption.faults import Fault
from support.resumption.trial import Size, Trial

LEAD_SECONDS: Final = 1.5
"""Of load before the fault."""
TRAIL_SECONDS: Final = 1.5
"""Of load after it is mended."""
COUNTED: Final = {
    "events": "events",
    "deliveries": "deliveries",
    "lost": "lost",
    "doubled": "doubled",
    "out of order": "out_of_order",
    "gaps told": "gaps",
    "gaps not told": "untold",
    "false gaps": "false_gaps",
}
"""Columns that are added up, each with its name in the results."""
COLUMNS: Final = ("fault", *COUNTED, "back after: median, most", "longest turn", "slowest Redis command")

Result = Mapping[str, Any]


class Row(msgspec.Struct):
    """``seconds`` is how long it took from the fault's beginning to its end. ``account`` is what came of it."""

    title: str
    seconds: float
    account: Account
    may_be_lost: bool = False
    may_be_undecided: bool = False

    @property
    def wrong(self) -> list[str]:
        """What must not be, in words."""
        return self.account.wrong(may_be_lost=self.may_be_lost, may_be_undecided=self.may_be_undecided)

    def sentences(self) -> list[str]:
        """Tell what is wrong, with examples."""
        account, wrong = self.account, self.wrong
        if not wrong:
            return []
        found = [*wrong, *account.total.wrong_notes(), *account.behind[:3], *account.complaints[:5]]
        for figure in () if self.may_be_lost else ("false_gaps", "undecided"):
            found += account.total.notes.get(figure, [])
        return found

    def as_result(self) -> dict[str, Any]:
        """The row for the file of results."""
        account = msgspec.to_builtins(self.account)
        away, waits = account.pop("away"), account.pop("waits")
        found = {name: figure for name, figure in account.pop("total").items() if name != "notes"}
        turn, command = account.pop("longest_turn"), account.pop("slowest_command")
        found["longest_turn_ms"] = round(turn * 1e3, 1)
        if account["streams"]:
            found |= {"slowest_command_ms": round(command[0] * 1e3, 1), "slowest_command": command[1]}
        if away:
            found |= {"back_median_s": round(statistics.median(away), 3), "back_most_s": round(away[-1], 3)}
        if waits:
            found |= {
                "pong_p99_ms": round(waits[len(waits) * 99 // 100] * 1e3, 1),
                "pong_most_ms": round(waits[-1] * 1e3),
            }
        return {"fault": self.title, "seconds": round(self.seconds, 1), **found, **account, "wrong": self.wrong}


def line(result: Result) -> str:
    """The row of the table."""
    cells = [
        result["fault"],
        *(f"{result[name]:,}" for name in COUNTED.values()),
        f"{result['back_median_s']:.1f}, {result['back_most_s']:.1f} s" if "back_most_s" in result else "–",
        f"{result['longest_turn_ms']:.0f} ms" if result["longest_turn_ms"] else "< 3 ms",
        f"{result['slowest_command_ms']:.1f} ms" if "slowest_command_ms" in result else "–",
    ]
    return f"| {' | '.join(cells)} |"


def table(results: Iterable[Result]) -> str:
    """The whole table, with the sums of all rows at its end."""
    rows = list(results)
    sums = (f"**{sum(row[name] for row in rows):,}**" for name in COUNTED.values())
    last = f"| **all** | {' | '.join(sums)} |  |  |  |"
    return "\n".join([head(), *map(line, rows), last])


def head() -> str:
    """The first two lines of the table."""
    return f"| {' | '.join(COLUMNS)} |\n|---{'|--:' * (len(COLUMNS) - 1)}|"


def measured(fault: Fault, size: Size) -> Row:
    """Raises AssertionError, OSError or EOFError if something does not start or ends without being told to."""
    with ExitStack() as stack:
        stage = fault.stage(stack)
        trial = stack.enter_context(Trial(stage, size))
        trial.load_for(LEAD_SECONDS)
        began = time.monotonic()
        fault.happen(trial)
        took = time.monotonic() - began
        trial.load_for(TRAIL_SECONDS)
        account = trial.account(may_be_lost=fault.may_be_lost)
        return Row(fault.title, took, account, fault.may_be_lost, fault.may_be_undecided)

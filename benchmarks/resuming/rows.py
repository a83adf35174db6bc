"""One fault from beginning to end, and its row of the table."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import Any, Final

import msgspec

from support.resumption.faults import Fault
from support.resumption.trial import Account, Size, Trial

LEAD_SECONDS: Final = 1.5
"""Of load before the fault."""
TRAIL_SECONDS: Final = 2.0
"""Of load after it is mended."""
COLUMNS: Final = (
    "fault",
    "seconds",
    "events",
    "deliveries",
    "lost",
    "doubled",
    "out of order",
    "gaps told",
    "gaps not told",
    "false gaps",
    "back after: median, most",
)


class Row(msgspec.Struct):
    """``seconds`` is how long it took from the fault's beginning to its end. ``account`` is what came of it."""

    title: str
    seconds: float
    account: Account
    may_be_lost: bool

    @property
    def wrong(self) -> list[str]:
        """What must not be, in words."""
        account, total = self.account, self.account.total
        found = {
            "doubled": total.doubled,
            "out of order": total.out_of_order,
            "gaps not told": total.untold,
            "came back to their sender": total.echoed,
            "other faults": total.faults,
            "stories that did not reach the end": len(account.behind),
            "complaints of servers": len(account.complaints),
        }
        if not self.may_be_lost:
            found |= {"false gaps": total.false_gaps, "events never answered": account.unanswered}
        return [f"{name}: {count:,}" for name, count in found.items() if count]

    def as_line(self) -> str:
        """The row of the table."""
        account, total = self.account, self.account.total
        away = account.away
        cells = (
            self.title,
            f"{self.seconds:.1f}",
            f"{account.events:,}",
            f"{total.deliveries:,}",
            f"{total.lost:,}",
            f"{total.doubled:,}",
            f"{total.out_of_order:,}",
            f"{total.gaps:,}",
            f"{total.untold:,}",
            f"{total.false_gaps:,}",
            f"{statistics.median(away):.1f}, {away[-1]:.1f} s" if away else "–",
        )
        return f"| {' | '.join(cells)} |"

    def as_result(self) -> dict[str, Any]:
        """The row for the file of results."""
        account = msgspec.to_builtins(self.account)
        away, waits = account.pop("away"), account.pop("waits")
        found = {name: figure for name, figure in account.pop("total").items() if name != "notes"}
        if away:
            found |= {"back_median_s": round(statistics.median(away), 3), "back_most_s": round(away[-1], 3)}
        if waits:
            found |= {
                "pong_p99_ms": round(waits[len(waits) * 99 // 100] * 1e3, 1),
                "pong_most_ms": round(waits[-1] * 1e3),
            }
        return {"fault": self.title, "seconds": round(self.seconds, 1), **found, **account, "wrong": self.wrong}


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
        return Row(fault.title, took, trial.account(may_be_lost=fault.may_be_lost, calm=fault.calm), fault.may_be_lost)

"""Run a server for a long time under a load that comes and goes, and check what it delivers and what memory it keeps.

``python benchmarks/soak.py [--minutes 20] [--clients 400] [--workers 1]``: Linux; a steady, moderate load on loopback.
A cycle is one crowd (``soaking/crowd.py``): it connects, hears events and whispers, a half of it comes and goes, and
in the end all are gone. Every event of every subscription is checked: it must have come once, in its publisher's order.
After each cycle, the server is empty, and its resident memory is read; the first two are its warm-up. Exits 1 if
anything was wrong, or if memory grew by more than a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import uvloop
from processes import need_files
from soaking.client import PRESENCE
from soaking.crowd import Crowd
from soaking.ledger import DOUBLE, ECHOED, LOST, OUT_OF_ORDER
from subjects.workers import Tree, started

from soundpost.tools.bench.messages import Endpoint

WARM_UP = 2
"""Cycles before the one whose memory the later ones are compared with."""
MAX_GROWTH = 0.1
REST_SECONDS = 2.0
PROGRESS_SECONDS = 10.0
CHECKS = (LOST, DOUBLE, OUT_OF_ORDER, ECHOED, PRESENCE)


class Soak:
    """Cycles until the time is over, or somebody ends it."""

    def __init__(self, tree: Tree, port: int, clients: int) -> None:
        url = f"http://127.0.0.1:{port}"
        self._crowd = Crowd(
            Endpoint(
                base_url=url,
                address="127.0.0.1",
                port=port,
                verify=False,
                app_id="1",
                key="bench-key",
                secret="bench-secret",
                spread=True,
            ),
            clients,
        )
        self._tree = tree
        self._memory: list[int] = []
        """Bytes after each cycle."""
        self._began = time.monotonic()

    async def run(self, minutes: float) -> None:
        """Whole cycles until so many minutes are over."""
        progress = asyncio.create_task(self._show_progress())
        # Ended from outside: what was found so far is told.
        with suppress(asyncio.CancelledError):
            while self._minutes() < minutes:
                try:
                    await self._crowd.cycle()
                    await asyncio.sleep(REST_SECONDS)
                    self._memory.append(self._tree.rss())
                except (OSError, IndexError) as error:  # IndexError: /proc has no memory of a process that has ended
                    self._crowd.faults.add("error: the server has ended, or does not answer", repr(error))
                    break
        progress.cancel()
        self._read_log()

    @property
    def right(self) -> bool:
        """Something was checked, nothing was wrong, and memory, if it could be judged, has not grown."""
        growth = self._growth()
        return bool(self._memory) and not self._crowd.faults.by_kind and (growth is None or growth <= MAX_GROWTH)

    def report(self) -> str:
        """A table, and an example of each thing that was wrong."""
        crowd, faults = self._crowd, self._crowd.faults
        others = sum(fault.count for fault in faults.as_list() if fault.kind not in CHECKS)
        growth = self._growth()
        rows = {
            "minutes": f"{self._minutes():.1f}",
            "cycles": f"{len(self._memory)}",
            "connections made": f"{crowd.connected:,}",
            "events published": f"{crowd.published:,}",
            "deliveries checked": f"{crowd.checked[False]:,}",
            "whispers checked": f"{crowd.checked[True]:,}",
            **{kind: f"{faults.by_kind[kind].count if kind in faults.by_kind else 0:,}" for kind in CHECKS},
            "errors": f"{others:,}",
            "RSS at the start": _mb(self._memory[WARM_UP - 1 : WARM_UP]),
            "RSS at most after all had gone": _mb(self._memory[WARM_UP - 1 :]),
            "RSS after all had gone at last": _mb(self._memory[WARM_UP:][-1:]),
            "growth": f"– (takes {WARM_UP + 1} cycles)" if growth is None else f"{growth:+.1%}",
        }
        lines = ["| what | figure |", "|---|---|", *(f"| {name} | {figure} |" for name, figure in rows.items())]
        examples = [f"- {fault.kind} ({fault.count:,}): {fault.example}" for fault in faults.as_list()]
        return "\n".join([*lines, "", *examples]).strip()

    def _growth(self) -> float | None:
        """Of memory since the end of the warm-up, as a share; None before there is anything to compare."""
        if len(self._memory) <= WARM_UP:
            return None
        return self._memory[-1] / self._memory[WARM_UP - 1] - 1

    def _minutes(self) -> float:
        return (time.monotonic() - self._began) / 60

    async def _show_progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            crowd = self._crowd
            print(
                f"{self._minutes():.1f} min, cycle {len(self._memory) + 1}: {len(crowd.clients):,} connected, "
                f"{crowd.published:,} published, {crowd.checked.total():,} checked, "
                f"{sum(fault.count for fault in crowd.faults.as_list()):,} wrong, RSS {_mb(self._memory[-1:])}",
                file=sys.stderr,
            )

    def _read_log(self) -> None:
        """What the server complained of. Its output goes to a file without a name."""
        with suppress(OSError):
            log = Path(f"/proc/{self._tree.pids()[0]}/fd/2").read_text(errors="replace")
            for line in log.splitlines():
                if " ERROR" in line:
                    self._crowd.faults.add("error: in the server's log", line)


def _mb(memory: list[int]) -> str:
    return f"{max(memory) / 1e6:.1f} MB" if memory else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=400)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    need_files(options.clients)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    # Blocked while the server starts: it is not left half-started, and as it inherits this, Ctrl-C in a terminal does
    # not reach it before us. Ignored once it is to end: it does so for sure.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with started(options.workers) as (tree, port):
        soak = Soak(tree, port, options.clients)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            uvloop.run(soak.run(options.minutes))
        except KeyboardInterrupt:
            pass  # What was found so far is told.
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(soak.report())
    sys.exit(not soak.right)


if __name__ == "__main__":
    main()

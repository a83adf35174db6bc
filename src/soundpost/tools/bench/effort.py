"""How busy this process and this machine are: so that a report can say when the load generator was the bottleneck."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from soundpost.tools.bench.histogram import Histogram
from soundpost.tools.bench.messages import Effort

_LAG_PERIOD: Final = 0.05
_STAT: Final = Path("/proc/stat")


class Stopwatch:
    """The share of one core this process used since the stopwatch was made."""

    def __init__(self) -> None:
        self._cpu = time.process_time_ns()
        self._wall = time.monotonic_ns()

    def share(self) -> float:
        """1.0 is a whole core."""
        wall = time.monotonic_ns() - self._wall
        return (time.process_time_ns() - self._cpu) / wall if wall else 0.0

    def elapsed(self) -> float:
        """Seconds since then."""
        return (time.monotonic_ns() - self._wall) / 1e9


class EffortMeter:
    """Measures this process: its CPU in the phases of a run, and how late its loop's timers fire."""

    def __init__(self, name: str) -> None:
        self._effort = Effort(name)
        self._phase = Stopwatch()
        self._measuring: asyncio.Task[None] | None = None

    def connecting(self) -> None:
        """The connecting begins."""
        self._phase = Stopwatch()

    def connected(self) -> None:
        """The connecting is over."""
        self._effort.connecting = self._phase.share()

    def started(self) -> None:
        """The run begins."""
        self._phase = Stopwatch()
        self._measuring = asyncio.get_running_loop().create_task(_measure_lag(self._effort.lag))

    def stopped(self) -> None:
        """The run is over."""
        self._effort.running = self._phase.share()
        self._phase = Stopwatch()
        if self._measuring is not None:
            self._measuring.cancel()

    def drained(self) -> None:
        """The last event has come, or is not waited for any more."""
        self._effort.draining = self._phase.share()
        self._effort.drain_time = self._phase.elapsed()

    def report(self) -> Effort:
        """What was measured."""
        return self._effort


async def _measure_lag(lag: Histogram) -> None:
    while True:
        due = time.monotonic_ns() + int(_LAG_PERIOD * 1e9)
        await asyncio.sleep(_LAG_PERIOD)
        lag.add(time.monotonic_ns() - due)


class MachineMeter:
    """How busy all cores of this machine are together, since the meter was made; on Linux only."""

    def __init__(self) -> None:
        self._before = _ticks()

    def share(self) -> float | None:
        """1.0 is all cores, whoever uses them; None where that is not known."""
        after = _ticks()
        if self._before is None or after is None:
            return None
        total = after[0] - self._before[0]
        return 1 - (after[1] - self._before[1]) / total if total > 0 else None


def _ticks() -> tuple[int, int] | None:
    """All clock ticks of all cores so far, and the idle ones among them (proc(5))."""
    try:
        numbers = [int(number) for number in _STAT.read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    return sum(numbers), numbers[3] + numbers[4]

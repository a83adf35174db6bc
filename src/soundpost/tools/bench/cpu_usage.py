"""CPU usage of this process and this machine, which shows whether the load generator was the bottleneck."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from soundpost.tools.bench.histogram import LatencyHistogram
from soundpost.tools.bench.messages import CpuUsage

_LAG_PERIOD: Final = 0.05
_STAT: Final = Path("/proc/stat")


class CpuStopwatch:
    """Stopwatch for the share of one core that this process uses."""

    def __init__(self) -> None:
        self._cpu = time.process_time_ns()
        self._wall = time.monotonic_ns()

    def share(self) -> float:
        """Return the share of one core since the start; 1.0 is a whole core."""
        wall = time.monotonic_ns() - self._wall
        return (time.process_time_ns() - self._cpu) / wall if wall else 0.0

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return (time.monotonic_ns() - self._wall) / 1e9


class CpuMeter:
    """Meter of this process: its CPU in each phase of a run, and the delay of its event loop's timers."""

    def __init__(self, name: str) -> None:
        self._cpu = CpuUsage(name)
        self._phase = CpuStopwatch()
        self._measuring: asyncio.Task[None] | None = None

    def connecting(self) -> None:
        """Begin the phase of connecting."""
        self._phase = CpuStopwatch()

    def connected(self) -> None:
        """End the phase of connecting."""
        self._cpu.connecting = self._phase.share()

    def started(self) -> None:
        """Begin the phase of publishing."""
        self._phase = CpuStopwatch()
        self._measuring = asyncio.get_running_loop().create_task(_measure_lag(self._cpu.lag))

    def stopped(self) -> None:
        """End the phase of publishing, and begin to wait for the last events."""
        self._cpu.running = self._phase.share()
        self._phase = CpuStopwatch()
        if self._measuring is not None:
            self._measuring.cancel()

    def drained(self) -> None:
        """End the phase of waiting for the last events."""
        self._cpu.draining = self._phase.share()
        self._cpu.drain_time = self._phase.elapsed()

    def report(self) -> CpuUsage:
        """Return the measured CPU usage."""
        return self._cpu


async def _measure_lag(lag: LatencyHistogram) -> None:
    while True:
        due = time.monotonic_ns() + int(_LAG_PERIOD * 1e9)
        await asyncio.sleep(_LAG_PERIOD)
        lag.add(time.monotonic_ns() - due)


class MachineMeter:
    """Meter of all cores of this machine together; Linux only."""

    def __init__(self) -> None:
        self._before = _ticks()

    def share(self) -> float | None:
        """Return the share of all cores in use since the start; 1.0 is all cores, None is unknown."""
        after = _ticks()
        if self._before is None or after is None:
            return None
        total = after[0] - self._before[0]
        return 1 - (after[1] - self._before[1]) / total if total > 0 else None


def _ticks() -> tuple[int, int] | None:
    """Return all clock ticks of all cores so far, and the idle ones among them (proc(5))."""
    try:
        numbers = [int(number) for number in _STAT.read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    return sum(numbers), numbers[3] + numbers[4]

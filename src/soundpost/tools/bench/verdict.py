"""Verdict on a run: whether the load generator was too slow to measure the server."""

from __future__ import annotations

from typing import Final

import msgspec

from soundpost.tools.bench.messages import CpuUsage
from soundpost.tools.bench.run import RunResult

BUSY: Final = 0.9
"""Share of one core from which on a single-threaded process is the bottleneck."""
_MACHINE_BUSY: Final = 0.95
_LAG: Final = 100_000_000
"""Nanoseconds that the event loop of a process may be late, in one of a hundred cases."""


class ProcessCpu(msgspec.Struct, kw_only=True):
    """CPU of a process: shares of one core while connecting, running, and draining for ``drain_time`` seconds.

    ``lag_p99_ms`` and ``lag_max_ms``: delay of the event loop in milliseconds.
    """

    name: str
    connecting: float
    running: float
    draining: float
    drain_time: float
    lag_p99_ms: float
    lag_max_ms: float


class LoadGenerator(msgspec.Struct, kw_only=True):
    """Load generator of a run. ``machine_busy`` is the share of its machine's cores in use, by any program."""

    bottleneck: bool
    statement: str
    machine_busy: float | None
    processes: list[ProcessCpu]


def judge(result: RunResult) -> LoadGenerator:
    """Return the verdict on the figures of a run."""
    usages = [each.cpu for each in result.receivers] + [result.publisher.cpu]
    bottleneck, statement = _statement(result, usages)
    return LoadGenerator(
        bottleneck=bottleneck,
        statement=statement,
        machine_busy=None if result.machine_busy is None else round(result.machine_busy, 3),
        processes=[
            ProcessCpu(
                name=cpu.name,
                connecting=round(cpu.connecting, 3),
                running=round(cpu.running, 3),
                draining=round(cpu.draining, 3),
                drain_time=round(cpu.drain_time, 3),
                lag_p99_ms=round(cpu.lag.percentile(99) / 1e6, 3),
                lag_max_ms=round(cpu.lag.largest / 1e6, 3),
            )
            for cpu in usages
        ],
    )


def _statement(result: RunResult, usages: list[CpuUsage]) -> tuple[bool, str]:
    if not result.started_at:
        return False, "nothing was measured"
    busiest = max(usages, key=lambda cpu: cpu.running)
    used = f"{busiest.name} used {busiest.running:.0%} of a core"
    if busiest.running >= BUSY:
        advice = "another machine" if busiest.name == "publisher" else "--processes or another machine"
        return True, f"the client was the bottleneck: process {used}; use {advice}"
    reader = max((each.cpu for each in result.receivers), key=lambda cpu: cpu.draining)
    if reader.draining >= BUSY and reader.drain_time >= 1:
        return True, (
            f"the client was the bottleneck: process {reader.name} had {reader.drain_time:.1f} s of events left to "
            f"read at the end, with {reader.draining:.0%} of a core; use a lower --rate, --processes or another machine"
        )
    if result.machine_busy is not None and result.machine_busy >= _MACHINE_BUSY:
        busy = f"this machine was the bottleneck: its cores were {result.machine_busy:.0%} busy"
        if not result.local:
            return True, f"{busy} ({used}); use more machines, or a lower --rate"
        return True, (
            f"{busy}, and server and clients took them from each other ({used}); "
            "use another machine for one of them, or a lower --rate"
        )
    latest = max(usages, key=lambda cpu: cpu.lag.percentile(99))
    lag = latest.lag.percentile(99)
    if lag > _LAG:
        return True, (
            f"the client was the bottleneck: process {latest.name} ran {lag / 1e6:.0f} ms late (p99), "
            "waiting for a core; use another machine"
        )
    connecting = max(result.receivers, key=lambda each: each.cpu.connecting)
    # A short time is not enough to tell: 20 connections are opened in 4 ms, with no pause in between.
    if connecting.cpu.connecting >= BUSY and connecting.connect_time >= 1:
        return False, (
            f"the client was not the bottleneck while events flowed ({used}), but it was while connecting: "
            f"{connecting.cpu.name} used {connecting.cpu.connecting:.0%} of a core"
        )
    return (
        False,
        f"the client was not the bottleneck: its busiest process, {busiest.name}, used {busiest.running:.0%} of a core",
    )

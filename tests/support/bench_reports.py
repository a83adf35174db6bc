"""A run that was never run, for tests of what is made of one."""

from __future__ import annotations

from soundpost.tools.bench.error_counts import ErrorCounts
from soundpost.tools.bench.histogram import LatencyHistogram
from soundpost.tools.bench.messages import CpuUsage, PublisherReport, ReceiverReport, Second
from soundpost.tools.bench.run import RunResult
from soundpost.tools.bench.scenario import BenchSettings, Scenario

START = 10**12
SECOND = 10**9


def outcome() -> RunResult:
    """Two processes of five connections each, two seconds, ten events in each; nothing went wrong."""
    return RunResult(
        settings=BenchSettings(
            scenario=Scenario.FAN_OUT,
            connections=10,
            channels=1,
            rate=10,
            size=200,
            duration=2,
            publishers=1,
            processes=2,
            run="test",
        ),
        base_url="http://127.0.0.1:8080",
        began="2026-01-01T00:00:00+00:00",
        interrupted=False,
        started_at=START,
        stopped_at=START + 2 * SECOND,
        local=True,
        machine_busy=0.5,
        publisher=PublisherReport(
            published=20,
            failed=0,
            last_at=START + 2 * SECOND,
            seconds=[10, 10],
            answer=_histogram(20, 1_000_000),
            delay=_histogram(20, 1_000),
            error_counts=ErrorCounts(),
            cpu=CpuUsage("publisher", running=0.1),
        ),
        receivers=[_receiver(1), _receiver(2)],
    )


def _receiver(number: int) -> ReceiverReport:
    return ReceiverReport(
        opened=5,
        failed=0,
        dropped=0,
        reconnected=0,
        connect_time=0.5,
        subscribe=_histogram(5, 2_000_000),
        expected=100,
        received=100,
        passing=0,
        lost=0,
        duplicates=0,
        out_of_order=0,
        notices_expected=0,
        notices_received=0,
        pings=0,
        pongs=0,
        round_trip=LatencyHistogram(),
        last_at=START + 2 * SECOND,
        seconds=[Second(_histogram(50, 1_000_000 * number)) for _ in range(2)],
        error_counts=ErrorCounts(),
        cpu=CpuUsage(f"receiver {number}", running=0.2),
    )


def _histogram(count: int, value: int) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for _ in range(count):
        histogram.add(value)
    return histogram

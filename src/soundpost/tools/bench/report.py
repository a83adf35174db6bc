"""Report of a run, in the shape of ``--json``, which the documentation describes on its page about measuring."""

from __future__ import annotations

import os
import platform
from itertools import zip_longest
from typing import Final

import msgspec

from soundpost import __version__
from soundpost.tools.bench.error_counts import ErrorCount, ErrorCounts
from soundpost.tools.bench.histogram import LatencyHistogram, merged
from soundpost.tools.bench.messages import Second
from soundpost.tools.bench.run import RunResult
from soundpost.tools.bench.scenario import BenchSettings
from soundpost.tools.bench.verdict import LoadGenerator, judge

REPORT_FORMAT: Final = 1
"""Version of the report's shape; goes up when a field changes its meaning or goes away."""


class Durations(msgspec.Struct, kw_only=True):
    """Durations in milliseconds, and their number."""

    count: int
    mean: float
    p50: float
    p95: float
    p99: float
    max: float


class MachineInfo(msgspec.Struct, kw_only=True):
    """Machine that the load came from."""

    python: str
    platform: str
    cores: int


class ConnectionFigures(msgspec.Struct, kw_only=True):
    """Connections: ``dropped`` were closed by the server, ``reconnected`` came back as churn does."""

    asked: int
    opened: int
    failed: int
    dropped: int
    reconnected: int
    per_second: float
    subscribe_ms: Durations


class PublishingFigures(msgspec.Struct, kw_only=True):
    """Rates in events per second; ``asked_rate`` 0 means as fast as the server answers."""

    asked_rate: float
    reached_rate: float
    published: int
    failed: int
    answer_ms: Durations
    delay_ms: Durations


class DeliveryFigures(msgspec.Struct, kw_only=True):
    """Events that connections received; ``passing`` counts those at connections that come and go."""

    expected: int
    received: int
    passing: int
    lost: int
    duplicates: int
    out_of_order: int
    per_second: float
    latency_ms: Durations


class MemberFigures(msgspec.Struct, kw_only=True):
    """Notices of members that left or came back."""

    expected: int
    received: int


class PingFigures(msgspec.Struct, kw_only=True):
    """Pings sent by the connections."""

    sent: int
    answered: int
    round_trip_ms: Durations


class TimelineSecond(msgspec.Struct, kw_only=True):
    """One second of the run; latency percentiles in milliseconds, None without deliveries."""

    second: int
    published: int
    deliveries: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    lost: int


class BenchReport(msgspec.Struct, kw_only=True):
    """Request and result of a run. ``elapsed`` is in seconds, to the last delivery."""

    format: int
    soundpost: str
    began: str
    url: str
    settings: BenchSettings
    machine: MachineInfo
    interrupted: bool
    elapsed: float
    passed: bool
    connections: ConnectionFigures
    publishing: PublishingFigures
    deliveries: DeliveryFigures
    members: MemberFigures
    pings: PingFigures
    errors: list[ErrorCount]
    client: LoadGenerator
    timeline: list[TimelineSecond]


def report_of(result: RunResult) -> BenchReport:
    """Return the report of a run."""
    receivers, publisher = result.receivers, result.publisher
    seconds = [_merged(parts) for parts in zip_longest(*(each.seconds for each in receivers))]
    received = sum(each.received for each in receivers)
    passing = sum(each.passing for each in receivers)
    # The wait for lost events is not part of the run; events that came late are.
    run_time = min(result.settings.duration, (result.stopped_at - result.started_at) / 1e9)
    last_at = max(each.last_at for each in receivers)
    elapsed = max(run_time, (last_at - result.started_at) / 1e9) if result.started_at else 0.0
    publishing_time = max(run_time, (publisher.last_at - result.started_at) / 1e9) if publisher.published else 0.0
    connect_time = max(each.connect_time for each in receivers)
    opened = sum(each.opened for each in receivers)
    error_counts = ErrorCounts()
    for of_process in [publisher.error_counts, *(each.error_counts for each in receivers)]:
        error_counts.merge(of_process)
    report = BenchReport(
        format=REPORT_FORMAT,
        soundpost=__version__,
        began=result.began,
        url=result.base_url,
        settings=result.settings,
        machine=MachineInfo(python=platform.python_version(), platform=platform.platform(), cores=os.cpu_count() or 1),
        interrupted=result.interrupted,
        elapsed=round(elapsed, 3),
        passed=False,
        connections=ConnectionFigures(
            asked=result.settings.connections,
            opened=opened,
            failed=sum(each.failed for each in receivers),
            dropped=sum(each.dropped for each in receivers),
            reconnected=sum(each.reconnected for each in receivers),
            per_second=_rate(opened, connect_time),
            subscribe_ms=_durations(merged([each.subscribe for each in receivers])),
        ),
        publishing=PublishingFigures(
            asked_rate=result.settings.rate if result.settings.publishes else 0.0,
            reached_rate=_rate(publisher.published, publishing_time),
            published=publisher.published,
            failed=publisher.failed,
            answer_ms=_durations(publisher.answer),
            delay_ms=_durations(publisher.delay),
        ),
        deliveries=DeliveryFigures(
            expected=sum(each.expected for each in receivers),
            received=received,
            passing=passing,
            lost=sum(each.lost for each in receivers),
            duplicates=sum(each.duplicates for each in receivers),
            out_of_order=sum(each.out_of_order for each in receivers),
            per_second=_rate(received + passing, elapsed),
            latency_ms=_durations(merged([second.latency for second in seconds])),
        ),
        members=MemberFigures(
            expected=sum(each.notices_expected for each in receivers),
            received=sum(each.notices_received for each in receivers),
        ),
        pings=PingFigures(
            sent=sum(each.pings for each in receivers),
            answered=sum(each.pongs for each in receivers),
            round_trip_ms=_durations(merged([each.round_trip for each in receivers])),
        ),
        errors=error_counts.as_list(),
        client=judge(result),
        timeline=[
            _timeline_second(number, published, second)
            for number, (published, second) in enumerate(zip_longest(publisher.seconds, seconds))
        ],
    )
    report.passed = _passed(report)
    return report


def _passed(report: BenchReport) -> bool:
    """Return whether nothing was lost, double or out of order, and no error occurred."""
    deliveries, members, pings = report.deliveries, report.members, report.pings
    return (
        not (deliveries.lost or deliveries.duplicates or deliveries.out_of_order or report.errors)
        and members.received == members.expected
        and pings.answered == pings.sent
        and not (report.connections.failed or report.connections.dropped)
    )


def _merged(parts: tuple[Second | None, ...]) -> Second:
    known = [part for part in parts if part is not None]
    return Second(merged([part.latency for part in known]), sum(part.lost for part in known))


def _durations(histogram: LatencyHistogram) -> Durations:
    return Durations(
        count=histogram.count,
        mean=_ms(histogram.total / histogram.count if histogram.count else 0),
        p50=_ms(histogram.percentile(50)),
        p95=_ms(histogram.percentile(95)),
        p99=_ms(histogram.percentile(99)),
        max=_ms(histogram.largest),
    )


def _timeline_second(number: int, published: int | None, second: Second | None) -> TimelineSecond:
    second = second or Second()
    latency = second.latency if second.latency.count else None
    return TimelineSecond(
        second=number,
        published=published or 0,
        deliveries=second.latency.count,
        p50_ms=_ms(latency.percentile(50)) if latency else None,
        p99_ms=_ms(latency.percentile(99)) if latency else None,
        max_ms=_ms(latency.largest) if latency else None,
        lost=second.lost,
    )


def _ms(nanoseconds: float) -> float:
    return round(nanoseconds / 1e6, 3)


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0

"""Sums of figures, samples of a timeline, quantiles, and the lag of a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
import pytest

from soundpost.core.figures import AppFigures, NodeFigures, add_up
from soundpost.core.histogram import BOUNDS, Histogram, quantile
from soundpost.server.figures.host_figures import HostFigures, WorkerFigures
from soundpost.server.figures.loop_lag import LoopLag
from soundpost.server.figures.timeline import Timeline
from soundpost.server.metrics.exposition import metrics_text
from soundpost.server.processes.worker_figures import FiguresOfWorkers
from soundpost.server.processes.worker_process import WorkerProcess
from support.scraped import Metrics


def host(at: float, **figures: object) -> HostFigures:
    return msgspec.structs.replace(
        HostFigures(name="a", node="n", version="1", started_at=0, at=at, port=6001),
        **figures,
    )


def histogram(*seconds: float) -> Histogram:
    made = Histogram()
    for each in seconds:
        made.observe(each)
    return made


def test_a_duration_counts_for_the_bucket_up_to_its_bound() -> None:
    made = histogram(0.0005, 0.0006, 99)
    assert (made.counts[0], made.counts[1], made.counts[-1]) == (1, 1, 1)
    assert made.sum == pytest.approx(99.0011)


def test_figures_are_added_number_by_number() -> None:
    one = NodeFigures(
        apps={"1": AppFigures(opened=2, errors={4009: 1}, publish=histogram(0.1))}, refusals={"path": 1}, lag_max=0.2
    )
    two = NodeFigures(
        apps={
            "1": AppFigures(opened=3, errors={4009: 1, 4100: 2}, publish=histogram(0.1, 9)),
            "2": AppFigures(events=7),
        },
        memory=5,
        lag_max=0.1,
    )
    total = NodeFigures()
    add_up(total, one)
    add_up(total, two)
    assert total.apps == {
        "1": AppFigures(opened=5, errors={4009: 2, 4100: 2}, publish=histogram(0.1, 0.1, 9)),
        "2": AppFigures(events=7),
    }
    assert total.refusals == {"path": 1}
    assert (total.memory, total.lag_max) == (5, 0.2)
    assert one.apps["1"].opened == 2


def test_figures_are_the_same_after_a_way_as_json() -> None:
    figures = host(5.0, apps={"1": AppFigures(errors={4009: 1}, opened=3, publish=histogram(0.1))}, lag=histogram(2))
    assert msgspec.json.decode(msgspec.json.encode(figures), type=HostFigures) == figures
    assert b'"connections":0' in msgspec.json.encode(figures)


def test_a_sample_has_rates_a_second() -> None:
    timeline = Timeline()
    apps = {"1": AppFigures(events=10, deliveries=100, publish=histogram(0.1))}
    timeline.add(host(100.0, apps=apps, cpu=1.0))
    assert list(timeline.samples) == []
    apps = {
        "1": AppFigures(events=20, client_events=5, deliveries=1100, connections=4, publish=histogram(0.1, 0.001)),
        "2": AppFigures(connections=1, publish=histogram(0.3)),
    }
    workers = [WorkerFigures(number=1, pid=1, lag_max=0.3), WorkerFigures(number=2, pid=2, lag_max=0.1)]
    timeline.add(host(105.0, apps=apps, cpu=3.5, memory=9, workers=workers))
    (sample,) = timeline.samples
    assert (sample.at, sample.events, sample.deliveries, sample.connections) == (105.0, 3.0, 200.0, 5)
    assert (sample.cpu, sample.memory, sample.lag_max) == (0.5, 9, 0.3)
    assert sample.publish_p50 <= 0.001, "of all apps"
    assert 0.25 < sample.publish_p99 <= 0.5


def test_a_timeline_has_the_last_hour() -> None:
    timeline = Timeline()
    for number in range(1_000):
        timeline.add(host(5.0 * number))
    assert (len(timeline.samples), timeline.samples[-1].at) == (720, 4995.0)


@pytest.mark.parametrize(
    ("seconds", "share", "expected"),
    [
        ((), 0.5, 0.0),
        ((0.0015,) * 4, 0.5, 0.00175),
        ((0.0004,) * 99 + (3.0,), 0.5, 0.0005 * 50 / 99),
        ((0.0004,) * 98 + (3.0,) * 2, 0.99, 3.75),
        ((60.0,), 0.5, BOUNDS[-1]),
    ],
)
def test_quantiles_are_estimated_from_the_histogram(seconds: tuple[float, ...], share: float, expected: float) -> None:
    assert quantile(histogram(*seconds).counts, share) == pytest.approx(expected)


class Loop:
    """A loop whose time a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        self.timers.append((self.now + seconds, callback))
        return cast("asyncio.TimerHandle", None)

    def run(self, now: float) -> None:
        self.now = now
        (_, callback) = self.timers.pop()
        callback()


def test_a_late_timer_is_the_lag_of_the_loop() -> None:
    loop, lag = Loop(), Histogram()
    watched = LoopLag(lag, loop.call_later, lambda: loop.now)
    watched.start()
    loop.run(0.1)
    loop.run(0.23)
    assert watched.recent == pytest.approx(0.03)
    assert sum(lag.counts) == 2
    assert lag.sum == pytest.approx(0.03)


def test_a_lag_is_recent_for_five_seconds() -> None:
    loop = Loop()
    watched = LoopLag(Histogram(), loop.call_later, lambda: loop.now)
    watched.start()
    loop.run(3.1)
    for number in range(1, 50):
        loop.run(3.1 + number * 0.1)
    assert watched.recent == pytest.approx(3.0)
    loop.run(8.2)
    assert watched.recent < 0.2


def test_a_worker_that_waits_for_its_next_start_is_not_forgotten() -> None:
    worker = WorkerProcess(2, [])
    worker.restarts = 7
    lines = FiguresOfWorkers().lines([worker])
    assert lines == [WorkerFigures(number=2, pid=0, restarts=7)]
    metrics = Metrics(metrics_text(host(1, workers=[WorkerFigures(number=0, pid=5), *lines])).decode())
    assert (metrics.value("worker_restarts_total", worker="2"), metrics.value("workers")) == (7, 0)

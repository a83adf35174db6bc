"""The timeline of a host: its figures every 5 s, for the last hour."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from soundpost.core.figures import AppFigures, add_up
from soundpost.core.histogram import Histogram, quantile
from soundpost.server.figures.host_figures import HostFigures, Sample

STEP: Final = 5.0
"""Seconds between two samples."""
_LENGTH: Final = 720


class Timeline:
    """The samples of the last hour, oldest first."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=_LENGTH)
        self._before: HostFigures | None = None

    @property
    def samples(self) -> Sequence[Sample]:
        """All samples of the last hour, oldest first."""
        return self._samples

    def add(self, figures: HostFigures) -> None:
        """Add a sample: the differences to the figures that were added before."""
        if self._before is not None and figures.at > self._before.at:
            self._samples.append(sample(self._before, figures))
        self._before = figures


def sample(before: HostFigures, now: HostFigures) -> Sample:
    """Return the differences between two sets of figures of a host."""
    seconds = now.at - before.at
    earlier, later = _all_apps(before), _all_apps(now)
    publish = _difference(before.publish, now.publish)

    def rate(name: str) -> float:
        return float((getattr(later, name) - getattr(earlier, name)) / seconds)

    return Sample(
        at=now.at,
        connections=later.connections,
        subscriptions=later.subscriptions,
        events=rate("events") + rate("client_events"),
        deliveries=rate("deliveries"),
        delivered_bytes=rate("delivered_bytes"),
        publish_p50=quantile(publish, 0.5),
        publish_p99=quantile(publish, 0.99),
        lag_max=max((worker.lag_max for worker in now.workers), default=0.0),
        cpu=(now.cpu - before.cpu) / seconds,
        memory=now.memory,
    )


def _all_apps(figures: HostFigures) -> AppFigures:
    total = AppFigures()
    for app in figures.apps.values():
        add_up(total, app)
    return total


def _difference(before: Histogram, now: Histogram) -> list[int]:
    return [later - earlier for earlier, later in zip(before.counts, now.counts, strict=True)]

"""Rates of ``soundpost top``: differences between two statements of the same host."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from soundpost.core.figures import AppFigures
from soundpost.core.histogram import quantile
from soundpost.server.figures.host_figures import HostFigures

_MAX_HISTORY: Final = 300
"""Moments that are kept: more than a terminal has columns."""


class AppRates(NamedTuple):
    """Numbers per second of one app."""

    events: float
    deliveries: float
    client_events: float
    delivered_bytes: float


class HostRates(NamedTuple):
    """Work of a host between two statements: rates per second, and the number of requests to publish by duration."""

    apps: dict[str, AppRates]
    publish: list[int]
    """Requests in each bucket of :data:`soundpost.core.histogram.BOUNDS`."""
    cpu: float
    """Seconds of CPU time a second: 1.0 is one core."""
    workers: dict[int, float]
    """Seconds of CPU time a second, by the number of a worker."""

    def total(self, name: str) -> float:
        """Return a rate summed over the apps."""
        return sum((getattr(app, name) for app in self.apps.values()), 0.0)


class Moment(NamedTuple):
    """Figures of all hosts together, at one time."""

    connections: int
    deliveries: float
    """Deliveries per second."""
    lag: float
    """Longest lag of an event loop, in seconds."""


class Observation:
    """The last statements of hosts, and the rates between them."""

    def __init__(self) -> None:
        self.hosts: list[HostFigures] = []
        """The last figures of the hosts; the server that was asked comes first."""
        self.history: deque[Moment] = deque(maxlen=_MAX_HISTORY)
        """Moments that were shown before, the oldest first; begins with the first rates."""
        self._rates: dict[str, HostRates] = {}

    def take(self, hosts: Sequence[HostFigures]) -> None:
        """Take statements. A host that repeats its last one, as others of a cluster do for 5 s, keeps its rates."""
        before = {host.node: host for host in self.hosts}
        for host in hosts:
            last = before.get(host.node)
            if last is not None and host.at > last.at:
                self._rates[host.node] = _rates(last, host)
        self.hosts = list(hosts)
        self._rates = {host.node: self._rates[host.node] for host in hosts if host.node in self._rates}
        if self._rates:
            self.history.append(self._now())

    def _now(self) -> Moment:
        return Moment(
            sum(host.connections for host in self.hosts),
            sum(rates.total("deliveries") for rates in self._rates.values()),
            max((worker.lag_max for host in self.hosts for worker in host.workers), default=0.0),
        )

    def rates(self, host: HostFigures) -> HostRates | None:
        """Return the rates of a host; None before its second statement."""
        return self._rates.get(host.node)

    @property
    def all_rates(self) -> list[HostRates]:
        """The rates of all hosts that have some."""
        return list(self._rates.values())

    @property
    def is_whole(self) -> bool:
        """True if all hosts have rates."""
        return len(self._rates) == len(self.hosts)


def _rates(before: HostFigures, after: HostFigures) -> HostRates:
    seconds = after.at - before.at
    cpu = {worker.number: worker for worker in before.workers}
    return HostRates(
        {app_id: _of_app(before.apps.get(app_id, AppFigures()), app, seconds) for app_id, app in after.apps.items()},
        [max(0, new - old) for old, new in zip(before.publish.counts, after.publish.counts, strict=True)],
        max(0.0, after.cpu - before.cpu) / seconds,
        {
            each.number: (each.cpu - cpu[each.number].cpu) / seconds
            for each in after.workers
            if each.number in cpu and cpu[each.number].pid == each.pid
        },
    )


def _of_app(before: AppFigures, after: AppFigures, seconds: float) -> AppRates:
    return AppRates(
        *(max(0, getattr(after, name) - getattr(before, name)) / seconds for name in AppRates._fields),
    )


def quantile_of_all(counts: Iterable[Sequence[int]], share: float) -> float | None:
    """Return the duration in seconds that a share of all durations in several histograms does not exceed.

    None without any.
    """
    added = [sum(bucket) for bucket in zip(*counts, strict=True)]
    return quantile(added, share) if any(added) else None

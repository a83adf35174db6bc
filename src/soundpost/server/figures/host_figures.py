"""The figures of one host: of its only process, or of all its workers together."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from soundpost.core.figures import AppFigures, add_up
from soundpost.core.histogram import Histogram
from soundpost.server.webhooks.figures import EndpointFigures


class WorkerFigures(Struct):
    """Figures of one process: of a worker, of the workers' parent, or of the only process there is."""

    number: int
    """Number of the worker; 0 for the parent, and for the only process."""
    pid: int
    """Id of the process; 0 of a worker that has died and waits for its next start."""
    connections: int = 0
    cpu: float = 0.0
    """Seconds of CPU time since the start of this process."""
    memory: int = 0
    """Resident memory in bytes."""
    lag_max: float = 0.0
    """Longest time within the last 5 s for which the event loop did other things, in seconds."""
    restarts: int = 0
    """Number of times that this worker has died and was started again."""


class RedisFigures(Struct):
    """The cluster as one host sees it."""

    state: Literal["connected", "away"]
    hosts: int = 0
    """Number of hosts, this one included; 0 while Redis is away."""
    waiting_events: int = 0
    """Events that wait for Redis."""
    waiting_bytes: int = 0
    reconnects: int = 0
    """Number of times that the host has come back to Redis."""


class HostFigures(Struct, kw_only=True):
    """Figures of one host. Totals begin with the host, and never fall while it runs; times are in seconds since 1970.

    Totals of workers that have ended stay in the sums.
    """

    name: str
    """Host name of the machine."""
    node: str
    """Id of this life of the host: another one after each start."""
    version: str
    started_at: float
    at: float
    """Time at which the figures were taken."""
    port: int
    draining: bool = False
    apps: dict[str, AppFigures] = field(default_factory=dict)
    """Figures by app id."""
    channels: dict[str, dict[str, int]] = field(default_factory=dict)
    """Channels that have subscribers on this host, by app id and by kind: ``public``, ``private``, ``presence``,
    ``encrypted``, ``cache`` (whatever its kind else), ``user``."""
    members: dict[str, int] = field(default_factory=dict)
    """Members of presence channels by app id: a user in two channels counts twice. Over Redis only those with a
    connection to this host."""
    lag: Histogram = field(default_factory=Histogram)
    """Lateness of a timer that is due ten times a second: how long the event loop did other things."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Clients and requests refused that belong to no app, by reason."""
    workers: list[WorkerFigures] = field(default_factory=list)
    cpu: float = 0.0
    """Seconds of CPU time of all processes, of those that have ended too."""
    memory: int = 0
    """Resident bytes of all processes."""
    open_files: int = 0
    """Open descriptors of all processes."""
    max_open_files: int = 0
    """Descriptors that all processes together may open."""
    history_bytes: int = 0
    """Bytes of events that histories keep on this host; 0 over Redis, which keeps them."""
    history_events: int = 0
    """Number of these events."""
    webhooks: list[EndpointFigures] = field(default_factory=list)
    """Figures of the endpoints of webhooks that this host sends to."""
    redis: RedisFigures | None = None
    """State of Redis; None on a host that serves alone."""
    certificate_ends_at: float | None = None
    """End of the certificate's validity; None without TLS."""

    @property
    def connections(self) -> int:
        """The number of connections of all apps."""
        return sum(app.connections for app in self.apps.values())

    @property
    def publish(self) -> Histogram:
        """The times that requests to publish took, of all apps."""
        total = Histogram()
        for app in self.apps.values():
            add_up(total, app.publish)
        return total


class Sample(Struct, kw_only=True):
    """Figures of 5 s of one host: numbers at their end, rates per second, durations in seconds."""

    at: float
    """End of these 5 s, in seconds since 1970."""
    connections: int = 0
    subscriptions: int = 0
    events: float = 0.0
    """Events published a second."""
    deliveries: float = 0.0
    """Frames given to subscribers' sockets a second."""
    delivered_bytes: float = 0.0
    """Bytes of these frames a second."""
    publish_p50: float = 0.0
    """Time that half of the requests to publish took at most; 0 if there was none."""
    publish_p99: float = 0.0
    """Time that 99 of 100 requests to publish took at most; 0 if there was none."""
    lag_max: float = 0.0
    """Longest time for which an event loop did other things."""
    cpu: float = 0.0
    """Seconds of CPU time a second, of all processes: 1.0 is one core."""
    memory: int = 0
    """Resident bytes of all processes."""

"""The metrics of a host: their names, help texts and values, from its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from soundpost.core.histogram import BOUNDS, Histogram
from soundpost.server.figures.host_figures import HostFigures, RedisFigures, WorkerFigures
from soundpost.server.webhooks.figures import EndpointFigures

_APP_GAUGES: Final = {
    "connections": "Open connections of clients.",
    "subscriptions": "Subscriptions of these connections to channels.",
}
_APP_COUNTERS: Final = {
    "connections_opened": ("opened", "Connections that were established."),
    "connections_closed": ("closed", "Connections that were closed."),
    "subscriptions_begun": ("subscribed", "Subscriptions that succeeded."),
    "subscriptions_ended": ("unsubscribed", "Subscriptions that ended."),
    "messages_received": ("messages", "Text messages from clients."),
    "client_events": ("client_events", "Client events that were accepted."),
    "events_published": ("events", "Events that applications published by this host, one for each channel."),
    "deliveries": ("deliveries", "Frames sent to subscribers: an event to 100 subscribers is 100."),
    "delivered_bytes": ("delivered_bytes", "Bytes of frames sent to subscribers."),
    "sends": ("sends", "Writes of frames to subscribers: fewer than deliveries if frames are written together."),
    "replayed_events": ("replayed", "Kept events sent to subscribers that read a history."),
    "resumptions": ("resumptions", "Subscriptions that resumed from the history of their channel."),
    "gaps": ("gaps", "Gaps sent to clients, whose missed events are not kept any more."),
    "slow_clients_closed": ("slow_clients", "Clients closed with 4100, since they read too slowly."),
}
_WORKER_GAUGES: Final = {
    "connections": ("connections", "Open connections of clients at a worker."),
    "memory_bytes": ("memory", "Resident bytes of a process."),
    "lag_max_seconds": ("lag_max", "Longest delay of a timer in the event loop within the last 5 s."),
}
_WORKER_COUNTERS: Final = {
    "cpu_seconds": ("cpu", "Seconds of CPU time of a process."),
    "restarts": ("restarts", "Deaths of a worker, after each of which it was started again."),
}
_ENDPOINT_GAUGES: Final = {
    "waiting_events": ("waiting", "Events that wait for an endpoint of webhooks, or are under way."),
    "stopped": ("stopped", "1 if the endpoint answered 410, and gets no more events."),
}
_ENDPOINT_COUNTERS: Final = {
    "sent_events": ("sent", "Events that an endpoint has taken."),
    "failed_events": ("failed", "Events that an endpoint did not take within the time for further attempts."),
    "dropped_events": ("dropped", "Events that were dropped because the queue was full or the endpoint stopped."),
    "failed_requests": ("failed_attempts", "Requests that were not answered with a status of 200 to 299."),
}
_REDIS_GAUGES: Final = {
    "hosts": "Hosts of the cluster, this one included; 0 while Redis is away.",
    "waiting_events": "Events that wait for Redis.",
    "waiting_bytes": "Bytes of memory that these events take.",
}


_REFUSALS: Final = "origin", "app_disabled", "app_full", "address_full", "server_full", "version"
_REFUSALS_WITHOUT_APP: Final = "app", "path", "upgrade", "server_full", "api_app"
_AUTHORIZATIONS: Final = "subscription", "sign_in", "api"


def families(figures: HostFigures) -> Iterator[Metric]:
    """Yield all metrics of a host."""
    yield from _of_host(figures)
    yield from _of_apps(figures)
    yield _histogram(
        "publish_seconds",
        "Time from a complete publish request until its answer.",
        {(app_id,): app.publish for app_id, app in figures.apps.items()},
        ("app",),
    )
    yield _histogram(
        "loop_lag_seconds", "Delay of a timer in the event loop that is due ten times a second.", {(): figures.lag}
    )
    yield from _of_workers(figures.workers)
    if figures.webhooks:
        yield from _of_endpoints(figures.webhooks)
    if figures.redis is not None:
        yield from _of_redis(figures.redis)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"soundpost_{name}", text, value)


def _of_host(figures: HostFigures) -> Iterator[Metric]:
    info = GaugeMetricFamily("soundpost_info", "1 for the version that runs.", labels=("version",))
    info.add_metric((figures.version,), 1)
    yield info
    yield _gauge("draining", "1 while the server is about to stop.", float(figures.draining))
    yield _gauge("history_bytes", "Bytes of events that histories keep on this host.", figures.history_bytes)
    yield _gauge("history_events", "Events that histories keep on this host.", figures.history_events)
    if figures.certificate_ends_at is not None:
        text = "End of the certificate's validity, in seconds since 1970."
        yield _gauge("certificate_end_timestamp_seconds", text, figures.certificate_ends_at)
    # The names that all programs have in Prometheus; of all processes of the host together.
    yield CounterMetricFamily("process_cpu_seconds", "Seconds of CPU time of all processes.", figures.cpu)
    yield GaugeMetricFamily("process_resident_memory_bytes", "Resident bytes of all processes.", figures.memory)
    yield GaugeMetricFamily("process_open_fds", "Open descriptors of all processes.", figures.open_files)
    yield GaugeMetricFamily("process_max_fds", "Descriptors that all processes may open.", figures.max_open_files)
    text = "Start of the server, in seconds since 1970."
    yield GaugeMetricFamily("process_start_time_seconds", text, figures.started_at)


def _of_apps(figures: HostFigures) -> Iterator[Metric]:
    apps = figures.apps
    for name, text in _APP_GAUGES.items():
        gauge = GaugeMetricFamily(f"soundpost_{name}", text, labels=("app",))
        for app_id, app in apps.items():
            gauge.add_metric((app_id,), getattr(app, name))
        yield gauge
    channels = GaugeMetricFamily("soundpost_channels", "Channels with subscribers.", labels=("app", "kind"))
    for app_id, kinds in figures.channels.items():
        for kind, number in kinds.items():
            channels.add_metric((app_id, kind), number)
    yield channels
    members = GaugeMetricFamily("soundpost_members", "Members of presence channels.", labels=("app",))
    for app_id, number in figures.members.items():
        members.add_metric((app_id,), number)
    yield members
    for name, (field, text) in _APP_COUNTERS.items():
        counter = CounterMetricFamily(f"soundpost_{name}", text, labels=("app",))
        for app_id, app in apps.items():
            counter.add_metric((app_id,), getattr(app, field))
        yield counter
    yield _counts(
        "errors_sent",
        "Frames pusher:error sent to clients.",
        "code",
        {app_id: {str(code): number for code, number in app.errors.items()} for app_id, app in apps.items()},
    )
    yield _counts(
        "refused",
        "Clients refused at the handshake, and requests for unknown apps (app is empty where none is known).",
        "reason",
        {"": _from_zero(_REFUSALS_WITHOUT_APP, figures.refusals)}
        | {app_id: _from_zero(_REFUSALS, app.refusals) for app_id, app in apps.items()},
    )
    yield _counts(
        "failed_authorizations",
        "Subscriptions, sign-ins and API requests without a valid signature.",
        "kind",
        {app_id: _from_zero(_AUTHORIZATIONS, app.failed_authorizations) for app_id, app in apps.items()},
    )


def _from_zero(kinds: Iterable[str], counts: dict[str, int]) -> dict[str, int]:
    """Return the counts of all kinds: Prometheus sees no increase in a counter that begins with 1."""
    return dict.fromkeys(kinds, 0) | counts


def _counts(name: str, text: str, label: str, by_app: dict[str, dict[str, int]]) -> Metric:
    counter = CounterMetricFamily(f"soundpost_{name}", text, labels=("app", label))
    for app_id, counts in by_app.items():
        for kind, number in counts.items():
            counter.add_metric((app_id, kind), number)
    return counter


def _histogram(
    name: str, text: str, values: dict[tuple[str, ...], Histogram], labels: tuple[str, ...] = ()
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"soundpost_{name}", text, labels=labels)
    for key, histogram in values.items():
        total, buckets = 0, []
        for bound, number in zip((*BOUNDS, "+Inf"), histogram.counts, strict=True):
            total += number
            buckets.append((str(bound), total))
        family.add_metric(key, buckets, histogram.sum)
    return family


def _of_workers(workers: list[WorkerFigures]) -> Iterator[Metric]:
    yield _gauge("workers", "Worker processes that run.", sum(1 for worker in workers if worker.number and worker.pid))
    for name, (field, text) in _WORKER_GAUGES.items():
        gauge = GaugeMetricFamily(f"soundpost_worker_{name}", text, labels=("worker",))
        for worker in workers:
            gauge.add_metric((str(worker.number),), getattr(worker, field))
        yield gauge
    for name, (field, text) in _WORKER_COUNTERS.items():
        counter = CounterMetricFamily(f"soundpost_worker_{name}", text, labels=("worker",))
        for worker in workers:
            counter.add_metric((str(worker.number),), getattr(worker, field))
        yield counter


def _of_endpoints(endpoints: list[EndpointFigures]) -> Iterator[Metric]:
    labels = ("app", "endpoint", "url")
    numbered = list(_numbered(endpoints))
    for name, (field, text) in _ENDPOINT_GAUGES.items():
        gauge = GaugeMetricFamily(f"soundpost_webhook_{name}", text, labels=labels)
        for key, endpoint in numbered:
            gauge.add_metric(key, getattr(endpoint, field))
        yield gauge
    for name, (field, text) in _ENDPOINT_COUNTERS.items():
        counter = CounterMetricFamily(f"soundpost_webhook_{name}", text, labels=labels)
        for key, endpoint in numbered:
            counter.add_metric(key, getattr(endpoint, field))
        yield counter
    yield _histogram(
        "webhook_request_seconds",
        "Time from a request to an endpoint of webhooks until its answer.",
        {key: endpoint.latency for key, endpoint in numbered},
        labels,
    )


def _numbered(endpoints: list[EndpointFigures]) -> Iterator[tuple[tuple[str, str, str], EndpointFigures]]:
    """Yield each endpoint with its labels. URLs without their secrets may be equal, so each has its number too."""
    numbers: dict[str, int] = {}
    for endpoint in endpoints:
        number = numbers[endpoint.app_id] = numbers.get(endpoint.app_id, 0) + 1
        yield (endpoint.app_id, str(number), endpoint.url), endpoint


def _of_redis(redis: RedisFigures) -> Iterator[Metric]:
    yield _gauge("redis_up", "1 while this host is connected to Redis.", float(redis.state == "connected"))
    for name, text in _REDIS_GAUGES.items():
        yield _gauge(f"redis_{name}", text, getattr(redis, name))
    text = "Reconnections of this host to Redis."
    yield CounterMetricFamily("soundpost_redis_reconnects", text, redis.reconnects)

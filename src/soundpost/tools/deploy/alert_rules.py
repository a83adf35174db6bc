"""Alert rules for Prometheus: what an operator of the server has to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from soundpost.tools.deploy.layout import quoted

JOB: Final = "soundpost"
"""Name of the scrape job, by which rules find the server."""
_NEAR: Final = 0.8
"""Share of a limit from which on it is near."""


class Alert(NamedTuple):
    """An alert: what is wrong, for how long, and what to do."""

    name: str
    expression: str
    duration: str
    """Time for which the expression must hold, such as ``5m``."""
    severity: str
    """``critical``: clients suffer now. ``warning``: somebody should look today."""
    summary: str
    advice: str


def alerts(max_connections: int | None) -> list[Alert]:
    """Return the alerts; ``max_connections`` is the limit of one server, if it has one."""
    found = [*_OF_THE_SERVER, *_OF_CLIENTS, *_OF_WEBHOOKS]
    if max_connections is not None:
        found.append(
            Alert(
                "SoundpostNearConnectionLimit",
                f"sum by (instance) (soundpost_connections) > {_NEAR} * {max_connections}",
                "5m",
                "critical",
                f"{{{{ $labels.instance }}}} has {{{{ $value | humanize }}}} connections of {max_connections:,}",
                "At max_connections of [server] clients are refused. Raise it, or add a host.",
            )
        )
    return found


_OF_THE_SERVER: Final = (
    Alert(
        "SoundpostDown",
        f'up{{job="{JOB}"}} == 0',
        "1m",
        "critical",
        "Soundpost on {{ $labels.instance }} does not answer",
        "Look at soundpost status, and at the server's log, on that host.",
    ),
    Alert(
        "SoundpostLoopLag",
        "histogram_quantile(0.99, sum by (instance, le) (rate(soundpost_loop_lag_seconds_bucket[5m]))) > 0.1",
        "5m",
        "critical",
        "The event loop of {{ $labels.instance }} is late by {{ $value | humanizeDuration }}",
        "All clients of the server wait so long. More workers or hosts help, and fewer events or subscribers.",
    ),
    Alert(
        "SoundpostSlowPublishing",
        "histogram_quantile(0.99, sum by (instance, app, le) (rate(soundpost_publish_seconds_bucket[5m]))) > 1",
        "5m",
        "warning",
        "Publishing to app {{ $labels.app }} on {{ $labels.instance }} takes {{ $value | humanizeDuration }}",
        "Applications wait so long. Look at the lag of the loop, and at Redis.",
    ),
    Alert(
        "SoundpostRedisAway",
        "soundpost_redis_up == 0",
        "1m",
        "critical",
        "{{ $labels.instance }} does not reach Redis, and serves alone",
        "Clients of different hosts do not hear each other until Redis is back. The log has the reason.",
    ),
    Alert(
        "SoundpostWorkersDie",
        "sum by (instance) (increase(soundpost_worker_restarts_total[30m])) > 2",
        "0m",
        "critical",
        "Workers of {{ $labels.instance }} have died {{ $value | humanize }} times in half an hour",
        "The server's log says how each of them ended.",
    ),
    Alert(
        "SoundpostCertificateEnds",
        "soundpost_certificate_end_timestamp_seconds - time() < 14 * 86400",
        "1h",
        "warning",
        "The certificate of {{ $labels.instance }} ends in {{ $value | humanizeDuration }}",
        "Renew it, then: soundpost reload.",
    ),
    Alert(
        "SoundpostNearFileLimit",
        f'process_open_fds{{job="{JOB}"}} / process_max_fds{{job="{JOB}"}} > {_NEAR}',
        "5m",
        "critical",
        "{{ $labels.instance }} has {{ $value | humanizePercentage }} of the files open that it may open",
        "A file for each connection: at the limit clients are refused. Raise the service's limit of files.",
    ),
)
_OF_CLIENTS: Final = (
    Alert(
        "SoundpostSlowClients",
        "sum by (instance, app) (increase(soundpost_slow_clients_closed_total[10m])) > 10",
        "0m",
        "warning",
        "{{ $value | humanize }} clients of app {{ $labels.app }} were closed, as they did not read fast enough",
        "More is sent than their connections take: see the size and number of events. max_output_buffer is the limit.",
    ),
    Alert(
        "SoundpostClientsRefused",
        "sum by (instance, app, reason) (rate(soundpost_refused_total[5m])) > 1",
        "10m",
        "warning",
        "{{ $labels.instance }} refuses {{ $value | humanize }} clients a second: {{ $labels.reason }}",
        "The dashboard and the log say whom, and why.",
    ),
    Alert(
        "SoundpostFailedAuthorizations",
        "sum by (instance, app, kind) (rate(soundpost_failed_authorizations_total[5m])) > 1",
        "10m",
        "warning",
        "{{ $value | humanize }} signatures a second are wrong in app {{ $labels.app }}: {{ $labels.kind }}",
        "An application has another secret than the server, or somebody guesses. The dashboard and the log say where.",
    ),
)
_OF_WEBHOOKS: Final = (
    Alert(
        "SoundpostWebhooksFail",
        "increase(soundpost_webhook_failed_events_total[10m])"
        " + increase(soundpost_webhook_dropped_events_total[10m]) > 0",
        "0m",
        "warning",
        "{{ $value | humanize }} events for {{ $labels.url }} of app {{ $labels.app }} are lost",
        "soundpost webhooks status says how the endpoint answers.",
    ),
    Alert(
        "SoundpostWebhooksWait",
        "soundpost_webhook_waiting_events > 1000",
        "5m",
        "warning",
        "{{ $value | humanize }} events wait for {{ $labels.url }} of app {{ $labels.app }}",
        "The endpoint is slow, or does not answer: soundpost webhooks status says which.",
    ),
    Alert(
        "SoundpostWebhooksStopped",
        "soundpost_webhook_stopped == 1",
        "0m",
        "warning",
        "{{ $labels.url }} of app {{ $labels.app }} gets no events any more",
        "The endpoint answered 410, which ends its webhooks until the next soundpost reload.",
    ),
)


def rules_file(alerts: Sequence[Alert]) -> str:
    """Return the rules as Prometheus reads them."""
    rules = "\n".join(map(_rule, alerts))
    return f"""\
groups:
  - name: {JOB}
    rules:
{rules}
"""


def _rule(alert: Alert) -> str:
    duration = "" if alert.duration == "0m" else f"        for: {alert.duration}\n"
    return f"""\
      - alert: {alert.name}
        expr: '{alert.expression}'
{duration}        labels:
          severity: {alert.severity}
        annotations:
          summary: {quoted(alert.summary)}
          description: {quoted(alert.advice)}"""

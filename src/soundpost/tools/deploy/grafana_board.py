"""The board for Grafana: which figures it shows, and the JSON that Grafana imports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from soundpost.tools.deploy.alert_rules import JOB

UID: Final = "soundpost"
TITLE: Final = "Soundpost"
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SCHEMA: Final = 39
"""Version of Grafana's JSON model that is written here: Grafana 10.4; later ones bring it up to date."""
_WIDTH: Final = 24
"""Columns of a board."""
_OF_HOST: Final = 'instance=~"$instance"'
_OF_JOB: Final = f'job="{JOB}",{_OF_HOST}'
_OF_APP: Final = 'instance=~"$instance",app=~"$app"'


class Line(NamedTuple):
    """One query, and the name of its lines, such as ``{{app}}``."""

    expression: str
    legend: str = ""


class Panel(NamedTuple):
    """A number, or a chart over time."""

    title: str
    lines: Sequence[Line]
    unit: str = "short"
    is_number: bool = False
    """True for the last value alone, in large figures."""
    alarm: float | None = None
    """Value from which on a number is red."""


def rate(name: str, by: str, selector: str = _OF_APP) -> str:
    """Return the query for a counter's increase per second."""
    return f"sum by ({by}) (rate({name}{{{selector}}}[$__rate_interval]))"


def quantile(share: float, name: str, by: str = "", selector: str = _OF_APP) -> str:
    """Return the query for a quantile of a histogram."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{name}_bucket', labels, selector)})"


def total(name: str, by: str, selector: str = _OF_APP) -> str:
    """Return the query for a gauge, added up."""
    return f"sum by ({by}) ({name}{{{selector}}})"


NUMBERS: Final = (
    Panel("Servers that answer", [Line(f"sum(up{{{_OF_JOB}}})")], is_number=True),
    Panel("Connections", [Line(total("soundpost_connections", ""))], is_number=True),
    Panel("Events a second", [Line(rate("soundpost_events_published_total", ""))], is_number=True),
    Panel("Deliveries a second", [Line(rate("soundpost_deliveries_total", ""))], is_number=True),
    Panel("Publishing, 99 of 100", [Line(quantile(0.99, "soundpost_publish_seconds"))], "s", True, 1),
    Panel(
        "Lag of the loop, 99 of 100",
        [Line(quantile(0.99, "soundpost_loop_lag_seconds", selector=_OF_HOST))],
        "s",
        True,
        0.1,
    ),
)
CHARTS: Final = (
    Panel("Connections", [Line(total("soundpost_connections", "app"), "{{app}}")]),
    Panel("Channels", [Line(total("soundpost_channels", "kind"), "{{kind}}")]),
    Panel("Events a second", [Line(rate("soundpost_events_published_total", "app"), "{{app}}")]),
    Panel("Deliveries a second", [Line(rate("soundpost_deliveries_total", "app"), "{{app}}")]),
    Panel(
        "Time to publish",
        [
            Line(quantile(0.5, "soundpost_publish_seconds", "app"), "half: {{app}}"),
            Line(quantile(0.99, "soundpost_publish_seconds", "app"), "99 of 100: {{app}}"),
        ],
        "s",
    ),
    Panel(
        "Lag of the loop, 99 of 100",
        [Line(quantile(0.99, "soundpost_loop_lag_seconds", "instance", _OF_HOST), "{{instance}}")],
        "s",
    ),
    Panel("Sent to clients", [Line(rate("soundpost_delivered_bytes_total", "app"), "{{app}}")], "Bps"),
    Panel(
        "Refused and closed clients",
        [
            Line(rate("soundpost_refused_total", "reason"), "refused: {{reason}}"),
            Line(rate("soundpost_slow_clients_closed_total", "app"), "too slow: {{app}}"),
            Line(rate("soundpost_errors_sent_total", "code"), "error {{code}}"),
            Line(rate("soundpost_failed_authorizations_total", "kind"), "wrong signature: {{kind}}"),
        ],
    ),
    Panel(
        "Webhooks, events a second",
        [
            Line(rate("soundpost_webhook_sent_events_total", "app"), "sent: {{app}}"),
            Line(rate("soundpost_webhook_failed_events_total", "app"), "given up: {{app}}"),
        ],
    ),
    Panel("Webhooks, events that wait", [Line(total("soundpost_webhook_waiting_events", "app"), "{{app}}")]),
    Panel(
        "Webhooks, 99 of 100 answers",
        [Line(quantile(0.99, "soundpost_webhook_request_seconds", "app, url"), "{{app}}: {{url}}")],
        "s",
    ),
    Panel(
        "Clients that come back",
        [
            Line(rate("soundpost_resumptions_total", "app"), "resumed: {{app}}"),
            Line(rate("soundpost_gaps_total", "app"), "with a gap: {{app}}"),
        ],
    ),
    Panel("CPU, cores", [Line(rate("process_cpu_seconds_total", "instance", _OF_JOB), "{{instance}}")]),
    Panel("Memory", [Line(total("process_resident_memory_bytes", "instance", _OF_JOB), "{{instance}}")], "bytes"),
    Panel(
        "Workers, longest lag",
        [Line(total("soundpost_worker_lag_max_seconds", "instance, worker", _OF_HOST), "{{instance}} {{worker}}")],
        "s",
    ),
    Panel("Hosts of the cluster", [Line(total("soundpost_redis_hosts", "instance", _OF_HOST), "{{instance}}")]),
    Panel(
        "Open files, of those allowed",
        [
            Line(
                f"process_open_fds{{{_OF_JOB}}} / process_max_fds{{{_OF_JOB}}}",
                "{{instance}}",
            )
        ],
        "percentunit",
    ),
    Panel("History", [Line(total("soundpost_history_bytes", "instance", _OF_HOST), "{{instance}}")], "bytes"),
)


def board() -> dict[str, Any]:
    """Return the board as Grafana imports it."""
    return {
        "uid": UID,
        "title": TITLE,
        "tags": [JOB],
        "editable": True,
        "refresh": "10s",
        "schemaVersion": _SCHEMA,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(_variables())},
        "panels": [*_placed(NUMBERS, 0, 4, 4), *_placed(CHARTS, 4, 12, 8, len(NUMBERS))],
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    for name, label, query in (
        ("instance", "Server", f'label_values(up{{job="{JOB}"}}, instance)'),
        ("app", "App", "label_values(soundpost_connections, app)"),
    ):
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        }


def _placed(panels: Sequence[Panel], top: int, width: int, height: int, before: int = 0) -> Iterator[dict[str, Any]]:
    """Yield panels side by side, row by row; ``before`` is the number of panels above."""
    in_row = _WIDTH // width
    for number, panel in enumerate(panels):
        place = {"x": number % in_row * width, "y": top + number // in_row * height, "w": width, "h": height}
        yield _panel(panel, before + number + 1) | {"gridPos": place}


def _panel(panel: Panel, id: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green" if panel.alarm is not None else "text", "value": None}]
    if panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})
    fields: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if not panel.is_number:
        fields["custom"] = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never"}
    return {
        "id": id,
        "title": panel.title,
        "type": "stat" if panel.is_number else "timeseries",
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": fields, "overrides": []},
        "options": {"graphMode": "area"} if panel.is_number else {"tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": line.expression,
                "legendFormat": line.legend or panel.title,
            }
            for number, line in enumerate(panel.lines)
        ],
    }

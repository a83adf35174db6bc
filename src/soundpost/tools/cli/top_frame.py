"""One frame of ``soundpost top``: totals, hosts, workers, apps and webhooks, for a terminal of 80 columns and more."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from soundpost.core.figures import AppFigures
from soundpost.server.figures.host_figures import HostFigures, WorkerFigures
from soundpost.server.webhooks.figures import EndpointFigures
from soundpost.tools.cli.top_charts import Chart
from soundpost.tools.cli.top_numbers import UNKNOWN, number, seconds, size
from soundpost.tools.cli.top_rates import HostRates, Observation, quantile_of_all
from soundpost.wire.printable import printable

_SLOW_LOOP: Final = 0.1
"""Lag of a loop, in seconds, that is shown in red: clients notice it."""
_FIXED_LINES: Final = 5
"""Lines of title and totals."""
_USUAL_ROWS: Final = 20
"""Rows of tables that go before the charts where there is no room for both."""
_LINES_OF_TABLE: Final = 2
"""Lines of a table besides its rows: an empty one, and the heading."""


class _Section(NamedTuple):
    columns: tuple[str, ...]
    rows: list[tuple[Text, ...]]
    noun: str


def frame(observation: Observation, *, height: int | None = None, fault: str = "") -> RenderableType:
    """Return a frame of at most ``height`` lines; all lines without it. ``fault``: why the figures are old."""
    hosts = observation.hosts
    sections = [_hosts(observation), _workers(observation), _apps(observation), _webhooks(hosts)]
    sections = [section for section in sections if section.rows]
    parts: list[RenderableType] = [_title(hosts), _totals(observation)]
    if fault:
        parts.insert(1, Text(printable(fault), style="bold red"))
    room = None if height is None else height - _FIXED_LINES - bool(fault) - _LINES_OF_TABLE * len(sections)
    charts = _charts(observation)
    if charts and room is not None and room - len(charts) >= min(_USUAL_ROWS, sum(len(each.rows) for each in sections)):
        parts += charts
        room -= len(charts)
    for section, limit in zip(sections, _shares(sections, room), strict=True):
        parts += [Text(), _table(section, limit)]
    return Group(*parts)


def _shares(sections: Sequence[_Section], room: int | None) -> list[int]:
    """Return how many rows of each section are shown: what short ones leave over goes to the longer ones."""
    wanted = [len(section.rows) for section in sections]
    if room is None:
        return wanted
    shares = [min(1, each) for each in wanted]
    while sum(shares) < room and shares != wanted:
        shortest = min((share, index) for index, share in enumerate(shares) if share < wanted[index])
        shares[shortest[1]] += 1
    return shares


def _title(hosts: Sequence[HostFigures]) -> RenderableType:
    first = hosts[0]
    versions = ", ".join(sorted({host.version for host in hosts}))
    where = _count(len(hosts), "host") if len(hosts) > 1 else f"{first.name}:{first.port}"
    title = Text.assemble(
        ("soundpost top", "bold"), f"  {printable(where)}, version {printable(versions)}, up {_age(hosts)}"
    )
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    line.add_row(title, time.strftime("%H:%M:%S", time.localtime(first.at)))
    return line


def _age(hosts: Sequence[HostFigures]) -> str:
    seconds = max(0, int(max(host.at for host in hosts) - min(host.started_at for host in hosts)))
    for unit, scale in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * scale:
            return _count(seconds // scale, unit)
    return _count(seconds, "second")


def _totals(observation: Observation) -> RenderableType:
    hosts, rates = observation.hosts, observation.all_rates
    apps = [app for host in hosts for app in host.apps.values()]
    durations = [host.publish for host in rates]
    lag = max((worker.lag_max for host in hosts for worker in host.workers), default=0.0)
    refused = _refused(apps) + sum(sum(host.refusals.values()) for host in hosts)
    channels = sum(sum(kinds.values()) for host in hosts for kinds in host.channels.values())
    rate = _rate_of(rates)
    slow = sum(app.slow_clients for app in apps)
    memory = sum(host.memory for host in hosts)
    columns = (
        ("connections", number(_sum(apps, "connections"))),
        ("subscriptions", number(_sum(apps, "subscriptions"))),
        ("channels", number(channels)),
        ("members", number(sum(sum(host.members.values()) for host in hosts))),
        ("events/s", rate("events")),
        ("deliveries/s", rate("deliveries")),
        ("traffic/s", rate("delivered_bytes", size)),
        ("client ev./s", rate("client_events")),
        ("publish p50", seconds(quantile_of_all(durations, 0.5))),
        ("publish p99", seconds(quantile_of_all(durations, 0.99))),
        ("loop lag", _lag(lag)),
        ("slow clients", _alarming(slow)),
        ("CPU", f"{sum(each.cpu for each in rates):.0%}" if rates else UNKNOWN),
        ("memory", size(memory)),
        ("files", _files(hosts)),
        ("refused", _alarming(refused)),
    )
    grid = Table.grid(padding=(0, 1, 0, 0))
    for _ in range(4):
        grid.add_column(style="cyan", no_wrap=True)
        grid.add_column(justify="right", no_wrap=True, min_width=6)
    for line in range(4):
        grid.add_row(*(cell for pair in columns[line::4] for cell in pair))
    return grid


def _charts(observation: Observation) -> list[RenderableType]:
    """Return the charts, below an empty line; nothing before there is something to compare."""
    history = observation.history
    if len(history) < 2:
        return []
    connections, deliveries, lag = ([float(value) for value in values] for values in zip(*history, strict=True))
    return [
        Text(),
        Chart("connections", connections, number(max(connections))),
        Chart("deliveries/s", deliveries, number(max(deliveries))),
        Chart("loop lag", lag, seconds(max(lag))),
    ]


def _rate_of(rates: Sequence[HostRates]) -> Callable[..., str]:
    def rate(name: str, form: Callable[[float], str] | None = None) -> str:
        return (form or number)(sum(each.total(name) for each in rates)) if rates else UNKNOWN

    return rate


def _hosts(observation: Observation) -> _Section:
    columns = ("host", "state", "conn.", "events/s", "deliv./s", "p99", "lag", "CPU", "memory")
    rows: list[tuple[Text, ...]] = []
    for host in observation.hosts:
        rates = observation.rates(host)
        rows.append(
            (
                _named(f"{host.name}:{host.port}"),
                _state(host),
                Text(number(host.connections)),
                Text(number(rates.total("events")) if rates else UNKNOWN),
                Text(number(rates.total("deliveries")) if rates else UNKNOWN),
                Text(seconds(quantile_of_all([rates.publish], 0.99)) if rates else UNKNOWN),
                _lag(max((worker.lag_max for worker in host.workers), default=0.0)),
                Text(f"{rates.cpu:.0%}" if rates else UNKNOWN),
                Text(size(host.memory)),
            )
        )
    return _Section(columns, rows, "host")


def _state(host: HostFigures) -> Text:
    if host.draining:
        return Text("draining", "yellow")
    if host.redis is not None and host.redis.state == "away":
        return Text("no Redis", "bold red")
    if host.certificate_ends_at is not None and host.certificate_ends_at < host.at:
        return Text("old cert.", "bold red")
    return Text("serving", "green")


def _workers(observation: Observation) -> _Section:
    columns = ("worker", "process", "connections", "CPU", "memory", "lag", "restarts")
    several = len(observation.hosts) > 1
    rows: list[tuple[Text, ...]] = []
    for host in observation.hosts:
        if len(host.workers) < 2:
            continue
        rates = observation.rates(host)
        for worker in host.workers:
            name = str(worker.number or "parent")
            if several:
                name = f"{host.name}:{host.port} {name}"
            rows.append(_of_worker(worker, name, None if rates is None else rates.workers.get(worker.number)))
    return _Section(columns, rows, "worker")


def _of_worker(worker: WorkerFigures, name: str, cpu: float | None) -> tuple[Text, ...]:
    return (
        _named(name),
        Text(str(worker.pid)) if worker.pid else Text("ended", "bold red"),
        Text(number(worker.connections)),
        Text(UNKNOWN if cpu is None else f"{cpu:.0%}"),
        Text(size(worker.memory)),
        _lag(worker.lag_max),
        _alarming(worker.restarts),
    )


def _apps(observation: Observation) -> _Section:
    columns = ("app", "conn.", "subscr.", "events/s", "deliv./s", "client/s", "errors", "slow", "refused")
    apps: dict[str, list[AppFigures]] = {}
    for host in observation.hosts:
        for app_id, app in host.apps.items():
            apps.setdefault(app_id, []).append(app)
    rates = observation.all_rates
    rows: list[tuple[Text, ...]] = []
    for app_id, parts in sorted(apps.items(), key=lambda each: -_sum(each[1], "connections")):
        mine = [each.apps[app_id] for each in rates if app_id in each.apps]
        rows.append(
            (
                _named(app_id or "all others"),
                Text(number(_sum(parts, "connections"))),
                Text(number(_sum(parts, "subscriptions"))),
                Text(number(sum(each.events for each in mine)) if mine else UNKNOWN),
                Text(number(sum(each.deliveries for each in mine)) if mine else UNKNOWN),
                Text(number(sum(each.client_events for each in mine)) if mine else UNKNOWN),
                Text(number(_sum(parts, "errors"))),
                _alarming(_sum(parts, "slow_clients")),
                _alarming(_refused(parts)),
            )
        )
    return _Section(columns, rows, "app")


def _webhooks(hosts: Sequence[HostFigures]) -> _Section:
    columns = ("webhook", "app", "waiting", "sent", "failed", "last answer")
    rows: list[tuple[Text, ...]] = [
        (
            _named(each.url),
            _named(each.app_id),
            Text(number(each.waiting)),
            Text(number(each.sent)),
            _alarming(each.failed + each.dropped),
            _answer(each),
        )
        for host in hosts
        for each in sorted(host.webhooks, key=lambda each: -each.waiting)
    ]
    return _Section(columns, rows, "webhook")


def _answer(endpoint: EndpointFigures) -> Text:
    if endpoint.stopped:
        return Text("stopped", "bold red")
    if endpoint.last_error:
        return Text(str(endpoint.last_status or "none"), "red")
    return Text(str(endpoint.last_status or UNKNOWN))


def _table(section: _Section, limit: int) -> RenderableType:
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold", padding=(0, 1, 0, 0))
    first, *others = section.columns
    table.add_column(first, ratio=1)  # its names are cut off where the figures need the room
    for name in others:
        table.add_column(name, no_wrap=True, justify="right")
    shown = section.rows if limit >= len(section.rows) else section.rows[: limit - 1]
    for row in shown:
        table.add_row(*row)
    if len(shown) < len(section.rows):
        table.add_row(Text(f"and {_count(len(section.rows) - len(shown), section.noun)} more", "dim"))
    return table


def _lag(value: float) -> Text:
    return Text(seconds(value), "bold red" if value >= _SLOW_LOOP else "")


def _alarming(value: int) -> Text:
    return Text(number(value), "yellow" if value else "")


def _files(hosts: Sequence[HostFigures]) -> Text:
    used, most = sum(host.open_files for host in hosts), sum(host.max_open_files for host in hosts)
    is_near = any(host.max_open_files and host.open_files > 0.8 * host.max_open_files for host in hosts)
    return Text(f"{used / most:.0%}" if most else UNKNOWN, "bold red" if is_near else "")


def _sum(apps: Iterable[AppFigures], name: str) -> int:
    values = [getattr(app, name) for app in apps]
    return sum(sum(value.values()) if isinstance(value, dict) else value for value in values)


def _refused(apps: Collection[AppFigures]) -> int:
    return _sum(apps, "refusals") + _sum(apps, "failed_authorizations")


def _named(name: str) -> Text:
    return Text(printable(name), no_wrap=True, overflow="ellipsis")


def _count(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"

"""Report for people: a table, the errors, and the verdict on the figures."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from soundpost.tools.bench.report import BenchReport, Durations
from soundpost.tools.bench.scenario import BenchSettings, Scenario


def print_report(report: BenchReport, console: Console) -> None:
    """Print a report as a table."""
    console.print(f"[bold]{escape(_title(report))}[/]", highlight=False, soft_wrap=True)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, figure in _rows(report):
        table.add_row(name, escape(figure))
    console.print(table)
    if report.errors:
        console.print("\n[bold red]Errors[/]")
        for fault in report.errors:
            example = f": {fault.example}" if fault.example else ""
            console.print(f"  {fault.count:,} × {escape(fault.kind + example)}", highlight=False, soft_wrap=True)
    console.print()
    console.print(_line(report.client.statement, "yellow" if report.client.bottleneck else None), soft_wrap=True)
    publishing = report.publishing
    if not (report.interrupted or publishing.failed) and publishing.reached_rate < 0.95 * publishing.asked_rate:
        console.print(
            f"The publishers reached {publishing.reached_rate:,.0f} of {publishing.asked_rate:,.0f} events/s: "
            "more --publishers help if the server has time left",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    if report.interrupted:
        console.print("Interrupted: these are the figures up to then", style="yellow", soft_wrap=True)


def _title(report: BenchReport) -> str:
    settings = report.settings
    return f"{settings.scenario} · {report.url} · {_plural(settings.connections, 'connection')} · {_load(settings)}"


def _load(settings: BenchSettings) -> str:
    if not settings.publishes:
        return f"{settings.duration:g} s"
    rate = f"{settings.rate:g} events/s" if settings.rate else "as fast as it answers"
    return f"{_plural(settings.channels, 'channel')} · {rate} of {settings.size:,} B · {settings.duration:g} s"


def _rows(report: BenchReport) -> list[tuple[str, str]]:
    connections, publishing = report.connections, report.publishing
    rows = [
        ("connections", f"{connections.opened:,} opened, {connections.failed:,} failed, {connections.dropped:,} lost"),
        ("connect + subscribe", f"{_durations(connections.subscribe_ms)}, {connections.per_second:,.0f} a second"),
    ]
    if report.settings.scenario is Scenario.CHURN:
        rows.append(("came again", f"{connections.reconnected:,}"))
    if report.settings.publishes:
        asked = f"{publishing.asked_rate:,.0f}" if publishing.asked_rate else "as many as possible"
        failed = f", {publishing.failed:,} failed" if publishing.failed else ""
        rows += [
            ("published", f"{publishing.published:,}{failed}; {publishing.reached_rate:,.1f} a second, asked: {asked}"),
            ("publish answer", _durations(publishing.answer_ms)),
            *_delivery_rows(report),
        ]
    if report.settings.scenario is Scenario.PRESENCE:
        members = report.members
        rows.append(("member notices", f"{members.received:,} of {members.expected:,}"))
    if report.settings.scenario is Scenario.IDLE:
        pings = report.pings
        rows += [
            ("pongs", f"{pings.answered:,} of {pings.sent:,}"),
            ("ping to pong", _durations(pings.round_trip_ms)),
        ]
    return rows


def _delivery_rows(report: BenchReport) -> list[tuple[str, str]]:
    deliveries = report.deliveries
    received = f"{deliveries.received:,} of {deliveries.expected:,}"
    if deliveries.passing:
        received += f", and {deliveries.passing:,} to those that come and go"
    return [
        ("deliveries", received),
        ("deliveries/s", f"{deliveries.per_second:,.0f}"),
        ("delivery latency", _durations(deliveries.latency_ms)),
        ("lost", f"{deliveries.lost:,}"),
        ("duplicates", f"{deliveries.duplicates:,}"),
        ("out of order", f"{deliveries.out_of_order:,}"),
    ]


def _durations(durations: Durations) -> str:
    if not durations.count:
        return "none"
    values = [("p50", durations.p50), ("p95", durations.p95), ("p99", durations.p99), ("max", durations.max)]
    return ", ".join(f"{name} {value:,.1f} ms" for name, value in values)


def _line(text: str, colour: str | None) -> str:
    text = escape(text[0].upper() + text[1:])
    return f"[{colour}]{text}[/]" if colour else text


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"

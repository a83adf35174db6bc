"""Plot of a report: deliveries per second and latencies over time. Needs matplotlib (``soundpost[bench]``)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from soundpost.errors import ConfigurationError
from soundpost.tools.bench.report import BenchReport


def check_matplotlib() -> None:
    """Raise ConfigurationError if matplotlib is missing. Called before a run, not after it."""
    if find_spec("matplotlib") is None:
        raise ConfigurationError("--svg needs matplotlib, which is not installed: pip install 'soundpost[bench]'")


def write_svg(report: BenchReport, file: Path) -> None:
    """Write the plot to a file; the same report gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Text stays text: smaller, to be searched, in the reader's own font. The salt makes ids the same every time.
    with mpl.rc_context({"svg.hashsalt": "soundpost", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        rates, latencies = figure.subplots(2, 1, sharex=True)
        settings = report.settings
        figure.suptitle(
            f"{settings.scenario}: {settings.connections:,} connections, {settings.channels:,} channel(s), "
            f"{settings.size:,} B an event"
        )
        _draw_deliveries(rates, report)
        _draw_latencies(latencies, report)
        figure.savefig(file, format="svg", metadata={"Date": None})


def _draw_deliveries(axes: Any, report: BenchReport) -> None:
    seconds = [each.second for each in report.timeline]
    axes.bar(seconds, [each.deliveries for each in report.timeline], width=0.9, align="edge", label="deliveries")
    if any(each.lost for each in report.timeline):
        axes.bar(
            seconds, [each.lost for each in report.timeline], width=0.9, align="edge", color="tab:red", label="lost"
        )
        axes.legend()
    axes.set_title(f"{report.deliveries.received + report.deliveries.passing:,} deliveries")
    axes.set_ylabel("deliveries per second")
    axes.grid(axis="y", alpha=0.3)


def _draw_latencies(axes: Any, report: BenchReport) -> None:
    drawn = [each for each in report.timeline if each.p50_ms is not None]
    middles = [each.second + 0.5 for each in drawn]
    axes.plot(middles, [each.p50_ms for each in drawn], marker="o", label="p50")
    axes.plot(middles, [each.p99_ms for each in drawn], marker="o", label="p99")
    axes.plot(middles, [each.max_ms for each in drawn], marker="o", linestyle="--", label="max")
    axes.set_title("Delivery latency, publish to receipt")
    axes.set_xlabel("time (s)")
    axes.set_ylabel("latency (ms)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()

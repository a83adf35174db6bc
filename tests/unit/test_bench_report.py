"""What a run's processes measured, as a report, a table and a plot."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from rich.console import Console

from soundpost.tools.bench.error_counts import ErrorCounts, code_in_words
from soundpost.tools.bench.histogram import LatencyHistogram
from soundpost.tools.bench.plot import write_svg
from soundpost.tools.bench.report import BenchReport, report_of
from soundpost.tools.bench.run import RunResult
from soundpost.tools.bench.table import print_report
from support.bench_reports import outcome


def printed(report: BenchReport) -> str:
    file = io.StringIO()
    print_report(report, Console(file=file, width=200))
    return file.getvalue()


def test_processes_are_added_up() -> None:
    report = report_of(outcome())
    assert report.passed
    assert report.connections.opened == 10
    assert (report.deliveries.received, report.deliveries.per_second) == (200, 100.0)
    assert report.deliveries.latency_ms.p50 == pytest.approx(1, rel=0.01)
    assert report.deliveries.latency_ms.p99 == 2
    assert report.publishing.reached_rate == 10.0
    assert [(each.deliveries, each.published) for each in report.timeline] == [(100, 10), (100, 10)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("lost", 1), ("duplicates", 1), ("out_of_order", 1), ("failed", 1), ("dropped", 1), ("notices_received", 1)],
)
def test_anything_wrong_is_a_failure(field: str, value: int) -> None:
    run = outcome()
    setattr(run.receivers[1], field, value)
    assert not report_of(run).passed


def test_an_error_is_a_failure_and_is_shown_with_its_example() -> None:
    run = outcome()
    run.publisher.error_counts.add("publish: HTTP 503", "[overloaded]", count=3)
    report = report_of(run)
    assert not report.passed
    assert "3 × publish: HTTP 503: [overloaded]" in printed(report)


def test_kinds_of_errors_are_bounded() -> None:
    faults = ErrorCounts()
    for number in range(200):
        faults.add(f"kind {number}", "x" * 10_000)
    assert len(faults.as_list()) == 51
    assert sum(fault.count for fault in faults.as_list()) == 200
    assert max(len(fault.example) for fault in faults.as_list()) < 300


def test_codes_have_names() -> None:
    assert code_in_words(4100) == "4100 (over capacity)"
    assert code_in_words(4200) == "4200 (generic reconnect)"
    assert code_in_words(1006) == "1006 (no close frame)"
    assert code_in_words(4999) == "4999"


def busy_receiver(run: RunResult) -> None:
    run.receivers[1].cpu.running = 0.98


def late_receiver(run: RunResult) -> None:
    run.receivers[1].cpu.lag = LatencyHistogram()
    run.receivers[1].cpu.lag.add(300_000_000)


def receiver_with_a_backlog(run: RunResult) -> None:
    run.receivers[1].cpu.draining, run.receivers[1].cpu.drain_time = 0.97, 3.0


def busy_machine(run: RunResult) -> None:
    run.machine_busy = 0.99


@pytest.mark.parametrize(
    ("trouble", "statement"),
    [
        (busy_receiver, "client was the bottleneck: process receiver 2 used 98% of a core; use --processes or another"),
        (late_receiver, "client was the bottleneck: process receiver 2 ran 300 ms late (p99)"),
        (receiver_with_a_backlog, "client was the bottleneck: process receiver 2 had 3.0 s of events left to read"),
        (busy_machine, "this machine was the bottleneck: its cores were 99% busy"),
    ],
)
def test_a_slow_load_generator_says_so(trouble: object, statement: str) -> None:
    run = outcome()
    assert callable(trouble)
    trouble(run)
    client = report_of(run).client
    assert client.bottleneck
    assert statement in client.statement


def test_a_quick_load_generator_says_so_too() -> None:
    report = report_of(outcome())
    assert not report.client.bottleneck
    assert "The client was not the bottleneck: its busiest process, receiver 1, used 20% of a core" in printed(report)


def test_a_run_that_never_started_has_a_report() -> None:
    run = outcome()
    run.started_at, run.interrupted = 0, True
    for receiver in run.receivers:
        receiver.seconds, receiver.last_at, receiver.received, receiver.expected = [], 0, 0, 0
    run.publisher.published = run.publisher.last_at = 0
    run.publisher.seconds = []
    report = report_of(run)
    assert report.elapsed == 0
    assert report.timeline == []
    assert "Interrupted" in printed(report)


def test_the_json_can_be_read_back() -> None:
    report = report_of(outcome())
    assert msgspec.json.decode(msgspec.json.encode(report), type=BenchReport) == report


def test_the_same_report_gives_the_same_plot_with_titles_and_units(tmp_path: Path) -> None:
    report = report_of(outcome())
    report.timeline[1].lost = 4
    report.timeline.append(msgspec.structs.replace(report.timeline[0], second=2, p50_ms=None, p99_ms=None, max_ms=None))
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    write_svg(report, first)
    write_svg(report, second)
    assert first.read_bytes() == second.read_bytes()
    text = first.read_text()
    ElementTree.fromstring(text)
    for label in ("deliveries per second", "latency (ms)", "time (s)", "p99", "lost", "10 connections"):
        assert re.search(re.escape(label), text), label


def test_without_matplotlib_the_command_says_so_before_it_runs() -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'matplotlib' else found(name, *rest)\n"
        "from soundpost.tools.cli.app import main\n"
        "sys.argv = ['soundpost', 'bench', '--svg', 'plot.svg']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "soundpost: --svg needs matplotlib, which is not installed: pip install 'soundpost[bench]'\n"
    )

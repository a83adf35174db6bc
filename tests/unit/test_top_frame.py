"""Frames of ``soundpost top``: rates, columns, lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from soundpost.core.figures import AppFigures
from soundpost.core.histogram import BOUNDS, Histogram
from soundpost.server.figures.host_figures import HostFigures, RedisFigures, WorkerFigures
from soundpost.server.webhooks.figures import EndpointFigures
from soundpost.tools.cli.top_frame import frame
from soundpost.tools.cli.top_numbers import number, seconds, size
from soundpost.tools.cli.top_rates import Observation, quantile_of_all

AT = 1_700_000_000.0
Change = Callable[[HostFigures], None]


def host(at: float = AT, name: str = "one", **more: Any) -> HostFigures:
    figures = HostFigures(name=name, node=name, version="1.2", started_at=AT - 7200, at=at, port=8080)
    figures.apps = {"shop": AppFigures(connections=3, subscriptions=5)}
    figures.workers = [WorkerFigures(number=0, pid=70)]
    for field, value in more.items():
        setattr(figures, field, value)
    return figures


def drawn(observation: Observation, width: int = 80, height: int | None = None, fault: str = "") -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(frame(observation, height=height, fault=fault))
    return captured.get().splitlines()


def row(lines: list[str], beginning: str) -> list[str]:
    """Return the cells of the row that begins so."""
    [found] = [line for line in lines if line.startswith(beginning)]
    return found.split()


def words(line: str) -> str:
    """Return a line with one space between its words."""
    return " ".join(line.split())


class TestRates:
    def test_are_what_happened_a_second_between_two_statements(self) -> None:
        before = host(apps={"shop": AppFigures(events=10, deliveries=100)}, cpu=5.0)
        after = host(AT + 2, apps={"shop": AppFigures(events=30, deliveries=1_100, client_events=1)}, cpu=6.0)
        observation = Observation()
        observation.take([before])
        assert not observation.is_whole
        observation.take([after])
        rates = observation.rates(after)
        assert rates is not None
        assert rates.apps["shop"] == (10, 500, 0.5, 0)
        assert (rates.total("deliveries"), rates.cpu) == (500, 0.5)
        assert observation.is_whole

    def test_a_host_that_states_nothing_new_keeps_its_rates(self) -> None:
        observation = Observation()
        for at, events in ((AT, 0), (AT + 5, 50), (AT + 5, 50), (AT + 5, 50)):
            observation.take([host(at, apps={"shop": AppFigures(events=events)})])
        assert observation.all_rates[0].total("events") == 10

    def test_a_host_that_was_started_again_begins_anew(self) -> None:
        observation = Observation()
        observation.take([host(apps={"shop": AppFigures(events=50)})])
        observation.take([host(AT + 1, apps={"shop": AppFigures(events=60)})])
        observation.take([host(AT + 2, name="another life")])
        assert not observation.all_rates

    def test_an_app_that_is_counted_otherwise_is_never_negative(self) -> None:
        observation = Observation()
        observation.take([host(apps={"": AppFigures(events=50)})])
        observation.take([host(AT + 1, apps={"": AppFigures(events=20), "shop": AppFigures(events=40)})])
        assert observation.all_rates[0].total("events") == 40

    def test_a_worker_that_was_started_again_has_no_share_of_the_cpu_yet(self) -> None:
        observation = Observation()
        workers = [WorkerFigures(number=n, pid=n, cpu=5.0) for n in (1, 2)]
        observation.take([host(workers=workers)])
        workers = [WorkerFigures(number=1, pid=1, cpu=5.5), WorkerFigures(number=2, pid=99, cpu=0.1)]
        observation.take([host(AT + 1, workers=workers)])
        assert observation.all_rates[0].workers == {1: 0.5}


class TestQuantiles:
    def test_lie_within_their_bucket(self) -> None:
        counts = Histogram()
        for _ in range(99):
            counts.observe(0.0007)
        counts.observe(0.2)
        assert BOUNDS[0] < (quantile_of_all([counts.counts], 0.5) or 0) < BOUNDS[1]
        assert quantile_of_all([counts.counts], 0.99) == BOUNDS[1]
        assert 0.1 < (quantile_of_all([counts.counts], 0.995) or 0) < 0.25

    def test_of_several_hosts_are_those_of_all_durations(self) -> None:
        fast, slow = Histogram(), Histogram()
        for _ in range(100):
            fast.observe(0.0001)
            slow.observe(60)
        assert (quantile_of_all([fast.counts], 0.9) or 1) < 0.0005
        assert quantile_of_all([fast.counts, slow.counts], 0.9) == BOUNDS[-1]

    def test_of_nothing_are_none(self) -> None:
        assert quantile_of_all([], 0.5) is None
        assert quantile_of_all([Histogram().counts], 0.5) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.25, "0.2"), (7, "7"), (9_999, "9,999"), (12_340, "12.3k"), (999_600, "1.00M"), (2.5e9, "2.50G")],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown
    assert len(shown) <= 5


def test_sizes_and_durations() -> None:
    assert [size(each) for each in (512, 12_345, 999_999, 2.5e12)] == ["512 B", "12.3 kB", "1.0 MB", "2.5 TB"]
    assert [seconds(each) for each in (None, 0.0006, 0.012, 0.9999, 3.21)] == ["-", "0.6 ms", "12 ms", "1.0 s", "3.2 s"]


class TestFrame:
    def observed(self, *changes: Change, hosts: int = 1) -> Observation:
        """Return what was observed of hosts over one second in which much happened."""
        observation = Observation()
        names = [f"realtime-{number}.example.com" for number in range(hosts)]
        observation.take([host(name=name) for name in names])
        made = []
        for name in names:
            app = AppFigures(
                connections=123_456, subscriptions=234_567, events=1_234, deliveries=2_300_000, delivered_bytes=10**8
            )
            app.publish.observe(0.002)
            made.append(host(AT + 1, name, apps={"shop": app}, memory=123_000_000, cpu=1.3))
            made[-1].open_files, made[-1].max_open_files = 12_345, 65_536
            for change in changes:
                change(made[-1])
        observation.take(made)
        return observation

    def test_says_the_most_important_first(self) -> None:
        lines = drawn(self.observed())
        assert lines[0].startswith("soundpost top  realtime-0.example.com:8080, version 1.2, up 2 hours ")
        assert words(lines[1]) == "connections 123k events/s 1,234 publish p50 1.8 ms CPU 130%"
        assert words(lines[2]) == "subscriptions 235k deliveries/s 2.30M publish p99 2.5 ms memory 123 MB"
        assert words(lines[3]) == "channels 0 traffic/s 100 MB loop lag 0.0 ms files 19%"
        assert row(lines, "realtime-0")[1:5] == ["serving", "123k", "1,234", "2.30M"]
        assert row(lines, "shop") == ["shop", "123k", "235k", "1,234", "2.30M", "0", "0", "0", "0"]
        assert not any(line.startswith("worker") for line in lines), "one process is the host itself"

    def test_before_the_second_statement_rates_are_open(self) -> None:
        observation = Observation()
        observation.take([host()])
        lines = drawn(observation)
        assert words(lines[1]) == "connections 3 events/s - publish p50 - CPU -"
        assert row(lines, "one")[3:6] == ["-", "-", "-"]

    def test_hosts_and_workers_of_a_cluster(self) -> None:
        def change(figures: HostFigures) -> None:
            figures.workers = [WorkerFigures(n, 100 + n, 60_000, lag_max=0.2 * (n == 1)) for n in range(3)]
            figures.workers[2].restarts = 2
            if figures.name.startswith("realtime-1"):
                figures.redis = RedisFigures("away")

        lines = drawn(self.observed(change, hosts=2), width=100)
        assert "2 hosts" in lines[0]
        assert "247k" in lines[1]
        assert row(lines, "realtime-1.example.com:8080  ")[1:3] == ["no", "Redis"]
        assert row(lines, "realtime-1.example.com:8080 parent")[2:4] == ["100", "60.0k"]
        assert row(lines, "realtime-0.example.com:8080 1")[-3:] == ["200", "ms", "0"]
        assert row(lines, "realtime-0.example.com:8080 2")[-1] == "2"

    def test_refused_are_those_of_all_apps_and_of_none(self) -> None:
        def change(figures: HostFigures) -> None:
            figures.refusals = {"path": 1}
            figures.apps["shop"].refusals = {"origin": 2}
            figures.apps["shop"].failed_authorizations = {"api": 4}

        lines = drawn(self.observed(change))
        assert row(lines, "shop")[-1] == "6"
        assert row(lines, "members")[-1] == "7"

    def test_webhooks_with_how_they_end(self) -> None:
        def change(figures: HostFigures) -> None:
            url = "https://shop.example.com/broadcasting/webhooks"
            figures.webhooks = [
                EndpointFigures("shop", url, waiting=7, sent=12_345, failed=3, last_error="refused", last_status=500),
                EndpointFigures("shop", "https://gone.example.com", stopped=True),
            ]

        lines = drawn(self.observed(change))
        assert row(lines, "https://shop")[-5:] == ["shop", "7", "12.3k", "3", "500"]
        assert row(lines, "https://gone")[-1] == "stopped"

    @pytest.mark.parametrize("width", [80, 120])
    def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut_off(self, width: int) -> None:
        def change(figures: HostFigures) -> None:
            figures.apps["an-app-with-a-name-that-is-longer-than-it-should-be"] = AppFigures(
                999_500, 999_500, events=10**9, deliveries=10**9, errors={4009: 123_456}, slow_clients=123_456
            )
            figures.apps["shop"].publish.counts[7] += 10**6
            figures.workers = [WorkerFigures(n, 4_000_000, 999_500, lag_max=0.1234) for n in range(3)]
            figures.memory, figures.cpu = 999_900_000_000, 64.0

        lines = drawn(self.observed(change, hosts=2), width)
        assert max(map(len, lines)) <= width
        figures = [line for line in lines if line[:4] in ("conn", "subs", "chan", "memb")]
        assert not any("…" in line for line in figures), figures
        assert not any(line.rstrip().endswith("…") for line in lines)

    def test_what_finds_no_place_is_counted(self) -> None:
        def change(figures: HostFigures) -> None:
            figures.apps = {f"app-{n}": AppFigures(connections=100 - n) for n in range(60)}
            figures.workers = [WorkerFigures(n, n) for n in range(17)]

        observation = self.observed(change)
        lines = drawn(observation, height=24)
        assert len(lines) <= 24
        assert any(line.startswith("and ") and "workers more" in line for line in lines)
        assert row(lines, "app-0")[1] == "100", "the busiest come first"
        assert any(line.startswith("and ") and "apps more" in line for line in lines)
        assert len(drawn(observation, height=200)) > 77

    def test_charts_show_the_last_minutes_where_there_is_room(self) -> None:
        observation = Observation()
        for second in range(5):
            app = AppFigures(connections=10 * second, deliveries=1_000 * second * second)
            workers = [WorkerFigures(0, 1, lag_max=0.004)]
            observation.take([host(AT + second, apps={"shop": app}, workers=workers)])
        lines = drawn(observation, height=24)
        assert len(lines) <= 24
        assert words(lines[6]) == "connections ▃▅▇█ at most 40"
        assert words(lines[7]) == "deliveries/s ▂▄▆█ at most 7,000"
        assert words(lines[8]) == "loop lag ████ at most 4.0 ms"
        assert {len(line.partition("  at most")[0]) for line in lines[6:9]} == {56}, "the newest is on the right"
        assert not any("at most" in line for line in drawn(observation, height=14))
        assert not any("at most" in line for line in drawn(observation)), "one frame alone has no past"

    def test_why_it_is_an_old_one(self) -> None:
        lines = drawn(self.observed(), fault="the server at port 8080 does not answer: \x1b[2J")
        assert lines[1] == "the server at port 8080 does not answer: \\u001b[2J"

    def test_foreign_names_are_escaped(self) -> None:
        def change(figures: HostFigures) -> None:
            figures.name = "host\x1b]0;x\x07"
            figures.apps = {"[red]app\x1b[2J": AppFigures()}

        text = "\n".join(drawn(self.observed(change)))
        assert "\x1b" not in text
        assert "[red]app" in text

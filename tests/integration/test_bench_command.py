"""soundpost bench against real servers: every scenario counts exactly, and what goes wrong is said."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from typer.core import TyperGroup
from typer.main import get_command

from soundpost.tools.bench.report import BenchReport
from soundpost.tools.cli.app import app
from support.cli_process import Process, Shell, shell
from support.harness import DEFAULT_APP, TIMEOUT, RunningServer, running_server
from support.lossy_server import LossyServer, serving
from support.self_signed import self_signed

CREDENTIALS = ("--app-id", "1", "--key", "app-key", "--secret", "app-secret")
SMALL = ("--connections", "20", "--duration", "1", "--json", "-")


@pytest.fixture(name="sh")
def _shell(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def address(port: int) -> tuple[str, ...]:
    return ("--host", "127.0.0.1", "--port", str(port), *CREDENTIALS)


def report_in(text: str) -> BenchReport:
    return msgspec.json.decode(text, type=BenchReport)


def bench(sh: Shell, port: int, *arguments: str) -> BenchReport:
    """A small run that is to pass."""
    done = sh.run("bench", *address(port), *SMALL, *arguments)
    assert done.returncode == 0, done.stderr
    report = report_in(done.stdout)
    assert report.passed
    assert not report.errors
    assert (report.connections.opened, report.connections.failed, report.connections.dropped) == (20, 0, 0)
    assert report.connections.subscribe_ms.count >= 20
    assert (report.deliveries.lost, report.deliveries.duplicates, report.deliveries.out_of_order) == (0, 0, 0)
    assert report.deliveries.received == report.deliveries.expected
    assert sum(each.deliveries for each in report.timeline) == report.deliveries.received + report.deliveries.passing
    assert sum(each.published for each in report.timeline) == report.publishing.published
    return report


def wait_for_connections(server: RunningServer, count: int) -> None:
    """Until a run's channel has (or lacks) its subscribers."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        answer = msgspec.json.decode(server.request("GET", "/channels", info="subscription_count").body)
        if sum(each["subscription_count"] for each in answer["channels"].values()) == count:
            return
    raise AssertionError(f"not {count} connections, but {answer}")


def children_of(process: int) -> list[int]:
    lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [[int(number) for number in line.split()] for line in lines.splitlines()]
    return [pid for pid, parent in pairs if parent == process]


def is_running(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
        ).stdout
        return bool(state.strip()) and not state.startswith("Z")
    return False


def test_fan_out_counts_every_delivery(sh: Shell, server: RunningServer) -> None:
    report = bench(sh, server.port)
    assert report.publishing.published > 0
    assert report.deliveries.received == 20 * report.publishing.published
    assert report.deliveries.latency_ms.count == report.deliveries.received
    assert report.publishing.answer_ms.count == report.publishing.published


@pytest.mark.parametrize(("channels", "publishers"), [(4, 8), (5, 1), (20, 3)])
def test_fan_out_over_channels(sh: Shell, server: RunningServer, channels: int, publishers: int) -> None:
    report = bench(sh, server.port, "--channels", str(channels), "--publishers", str(publishers), "--rate", "100")
    assert report.deliveries.received == 20 // channels * report.publishing.published


def test_as_fast_as_the_server_answers_over_two_processes(sh: Shell) -> None:
    # A receiver that stands still for seconds is behind by more than a server keeps for it by default.
    with running_server(apps=[msgspec.structs.replace(DEFAULT_APP, max_output_buffer=2**30)]) as server:
        report = bench(sh, server.port, "--rate", "0", "--processes", "2", "--size", "10000", "--publishers", "2")
    assert report.deliveries.received == 20 * report.publishing.published
    assert [each.name for each in report.client.processes] == ["receiver 1", "receiver 2", "publisher"]


def test_one_to_one(sh: Shell, server: RunningServer) -> None:
    report = bench(sh, server.port, "--scenario", "one-to-one", "--rate", "200")
    assert report.settings.channels == 20
    assert report.deliveries.received == report.publishing.published > 0


def test_presence_counts_every_member_event(sh: Shell, server: RunningServer) -> None:
    report = bench(sh, server.port, "--scenario", "presence", "--processes", "2")
    assert report.deliveries.received == 18 * report.publishing.published > 0
    assert report.members.received == report.members.expected > 0
    assert report.members.expected % 18 == 0


def test_churn_reconnects_without_a_lost_event(sh: Shell, server: RunningServer) -> None:
    report = bench(sh, server.port, "--scenario", "churn")
    assert report.connections.reconnected > 0
    assert report.deliveries.received == 15 * report.publishing.published > 0


def test_idle_connections_answer_every_ping(sh: Shell, server: RunningServer) -> None:
    report = bench(sh, server.port, "--scenario", "idle")
    assert report.publishing.published == 0
    assert report.pings.answered == report.pings.sent >= 20
    assert report.pings.round_trip_ms.count == report.pings.sent


def test_over_tls_below_a_path(sh: Shell, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with running_server(path="/ws", tls={"certificate": str(certificate), "key": str(key)}) as server:
        report = bench(sh, server.port, "--scheme", "https", "--path", "/ws", "--insecure", "--size", "9000")
        assert report.deliveries.received == 20 * report.publishing.published > 0


def test_the_server_running_here_needs_no_options_and_files_are_written(sh: Shell) -> None:
    sh.server()
    done = sh.run("bench", "--connections", "5", "--duration", "1", "--json", "result.json", "--svg", "plot.svg")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in ("deliveries ", "delivery latency ", "lost ", "publish answer "):
        assert f"\n{line}" in done.stdout
    report = report_in((sh.directory / "result.json").read_text())
    assert f"{report.deliveries.received:,} of {report.deliveries.expected:,}" in done.stdout
    assert report.client.statement[1:] in done.stdout
    assert "<svg" in (sh.directory / "plot.svg").read_text()
    assert "secret" not in (sh.directory / "result.json").read_text()


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        (("--app-id", "1", "--key", "wrong", "--secret", "app-secret"), "close code 4001"),
        (("--app-id", "1", "--key", "app-key", "--secret", "wrong"), "answered 401"),
        (("--app-id", "7", "--key", "app-key", "--secret", "app-secret"), "answered 404"),
    ],
)
def test_wrong_credentials_are_one_line(
    sh: Shell, server: RunningServer, credentials: tuple[str, ...], said: str
) -> None:
    done = sh.run("bench", "--url", f"http://127.0.0.1:{server.port}", *credentials)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_no_server_is_one_line(sh: Shell) -> None:
    done = sh.run("bench", *address(1))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("soundpost: nothing listens at http://127.0.0.1:1")


def test_events_larger_than_the_server_takes_are_refused_before_the_run(sh: Shell, server: RunningServer) -> None:
    done = sh.run("bench", *address(server.port), "--size", "20000")
    assert done.returncode == 1
    assert "answered 413" in done.stderr


def test_connections_beyond_the_server_s_limit_are_counted_with_their_code(sh: Shell) -> None:
    with running_server(max_connections=40) as server:
        done = sh.run("bench", *address(server.port), "--connections", "60", "--duration", "1", "--json", "-")
        report = report_in(done.stdout)
        assert done.returncode == 1
        assert report.connections.failed > 0
        assert report.connections.opened + report.connections.failed == 60
        faults = {fault.kind: fault.count for fault in report.errors if not fault.kind.startswith("publish")}
        assert faults.get("pusher:error 4100 (over capacity)", 0) > 0
        # A busy server may drop a socket before it has asked anything, for which there is no code.
        assert sum(faults.values()) == report.connections.failed
        assert report.deliveries.lost == 0
        assert report.deliveries.received == report.connections.opened * report.publishing.published > 0


def test_members_beyond_the_channel_s_limit_are_counted(sh: Shell, server: RunningServer) -> None:
    options = ("--scenario", "presence", "--connections", "102", "--channels", "1", "--duration", "1", "--json", "-")
    done = sh.run("bench", *address(server.port), *options)
    report = report_in(done.stdout)
    assert done.returncode == 1
    assert (report.connections.opened, report.connections.failed) == (100, 2)
    assert report.deliveries.lost == 0


async def test_lost_double_and_swapped_events_are_found(sh: Shell) -> None:
    lossy = LossyServer(lose=frozenset({2, 9}), double=frozenset({3}), swap=frozenset({5, 7}))
    async with serving(lossy) as server:
        options = ("--connections", "4", "--duration", "1", "--rate", "12", "--publishers", "1", "--json", "-")
        done = await asyncio.to_thread(sh.run, "bench", *address(server.port), *options)
        report = report_in(done.stdout)
        assert server.published == 12
    assert done.returncode == 1
    deliveries = report.deliveries
    assert (deliveries.expected, deliveries.received) == (48, 40)
    assert (deliveries.lost, deliveries.duplicates, deliveries.out_of_order) == (8, 4, 8)
    assert sum(each.lost for each in report.timeline) == 8
    assert not report.errors


async def test_nobody_is_to_get_what_was_refused(sh: Shell) -> None:
    async with serving(LossyServer(refuse=frozenset({1, 4}))) as server:
        options = ("--connections", "4", "--duration", "1", "--rate", "10", "--publishers", "1", "--json", "-")
        done = await asyncio.to_thread(sh.run, "bench", *address(server.port), *options)
        report = report_in(done.stdout)
    assert done.returncode == 1
    assert [(fault.kind, fault.count) for fault in report.errors] == [("publish: HTTP 503", 2)]
    assert report.publishing.failed == 2
    assert report.deliveries.lost == 0
    assert report.deliveries.received == report.deliveries.expected == 4 * report.publishing.published


async def test_what_comes_without_confirmation_does_not_make_up_for_what_is_lost(sh: Shell) -> None:
    async with serving(LossyServer(deny=frozenset({1, 4}), lose=frozenset({2}))) as server:
        options = ("--connections", "4", "--duration", "1", "--rate", "10", "--publishers", "1", "--json", "-")
        done = await asyncio.to_thread(sh.run, "bench", *address(server.port), *options)
        report = report_in(done.stdout)
    assert done.returncode == 1
    deliveries = report.deliveries
    assert deliveries.expected == 4 * report.publishing.published
    assert (deliveries.received, deliveries.lost) == (deliveries.expected - 4, 4)


def test_a_server_that_dies_ends_the_run_with_its_errors(sh: Shell) -> None:
    with running_server(workers=1) as server:
        options = ("--connections", "20", "--duration", "600", "--json", "-")
        process = sh.start("bench", *address(server.port), *options)
        wait_for_connections(server, 20)
        server.process.kill()
        assert process.exit_code() == 1
    report = report_in("\n".join(all_of(process)))
    assert report.connections.dropped == 20
    assert not report.passed
    closed = [fault for fault in report.errors if fault.kind == "closed by the server: 1006 (no close frame)"]
    assert [fault.count for fault in closed] == [20]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_gives_the_figures_so_far_and_leaves_nothing(
    sh: Shell, server: RunningServer, number: signal.Signals
) -> None:
    process = sh.start("bench", *address(server.port), "--connections", "20", "--duration", "600", "--json", "-")
    wait_for_connections(server, 20)
    children = children_of(process.popen.pid)
    assert len(children) >= 2
    assert process.stop(number) == 0
    report = report_in("\n".join(all_of(process)))
    assert report.interrupted
    assert report.connections.opened == 20
    assert report.deliveries.received == report.deliveries.expected
    assert any("Interrupted" in line for line in process.rest_of_err())
    assert not [child for child in children if is_running(child)]
    wait_for_connections(server, 0)


@pytest.mark.parametrize("signals", [1, 2])
async def test_an_interruption_while_connecting(sh: Shell, signals: int) -> None:
    # The first connection is the one that tries whether the server is one.
    async with serving(LossyServer(greets=2)) as server:
        process = sh.start("bench", *address(server.port), "--connections", "20", "--json", "-")
        deadline = time.monotonic() + TIMEOUT
        while (server.opened < 21 or server.subscribed < 2) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for _ in range(signals):
            process.popen.send_signal(signal.SIGINT)
            await asyncio.sleep(0.01)
        code = await asyncio.to_thread(process.exit_code)
        if signals == 1:
            assert code == 0
            report = report_in("\n".join(all_of(process)))
            assert (report.interrupted, report.connections.opened, report.deliveries.expected) == (True, 1, 0)
        assert not any("Traceback" in line for line in process.rest_of_err())


def test_children_end_with_a_parent_that_was_killed(sh: Shell, server: RunningServer) -> None:
    process = sh.start("bench", *address(server.port), "--connections", "20", "--duration", "600")
    wait_for_connections(server, 20)
    children = children_of(process.popen.pid)
    process.stop(signal.SIGKILL)
    wait_for_connections(server, 0)
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and any(is_running(child) for child in children):
        pass
    assert not [child for child in children if is_running(child)]


EXAMPLES = re.findall(r"^(soundpost bench.*)$", (Path(__file__).parents[2] / "docs/bench.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("example", [example for example in EXAMPLES if "--url" not in example])
def test_the_examples_run(sh: Shell, example: str) -> None:
    sh.server()
    done = sh.run(*shlex.split(example, comments=True)[1:], "--connections", "20", "--duration", "1")
    assert done.returncode == 0, done.stderr


def test_the_page_has_every_option_and_every_field_of_the_report() -> None:
    page = (Path(__file__).parents[2] / "docs/bench.md").read_text()
    assert [field for field in fields_of(BenchReport) if f"`{field}`" not in page] == []
    assert [option for option in options_of("bench") - options_of("trigger") if f"`{option}`" not in page] == []


def options_of(command: str) -> set[str]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return {option for parameter in group.commands[command].params for option in parameter.opts}


def fields_of(shape: type) -> set[str]:
    """All fields of a struct and of those in it."""
    names: set[str] = set()
    for field in msgspec.structs.fields(shape):
        names.add(field.encode_name)
        for inner in (field.type, *get_args(field.type)):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                names |= fields_of(inner)
    return names


def all_of(process: Process) -> list[str]:
    """All lines of stdout; the process has ended."""
    process.wait_for("^}$")
    return process.out

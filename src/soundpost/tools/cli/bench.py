"""Command ``soundpost bench``: load for a server, and figures."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.errors import ConfigurationError
from soundpost.tools.cli.target import (
    AppIdOption,
    ConfigOption,
    HostOption,
    InsecureOption,
    KeyOption,
    PathOption,
    PortOption,
    SchemeOption,
    SecretOption,
    Target,
    TargetOptions,
    UrlOption,
    resolve,
)

if TYPE_CHECKING:
    from soundpost.tools.bench.messages import Endpoint
    from soundpost.tools.bench.report import BenchReport
    from soundpost.tools.bench.run import RunResult
    from soundpost.tools.bench.scenario import BenchSettings, Scenario


class ScenarioName(StrEnum):
    """Names of the scenarios, also in ``bench.scenario``, which ``--help`` does not load."""

    FAN_OUT = "fan-out"
    ONE_TO_ONE = "one-to-one"
    PRESENCE = "presence"
    CHURN = "churn"
    IDLE = "idle"


_OUTPUT = "Output"


def bench(
    scenario: Annotated[ScenarioName, typer.Option(help="What the connections do.")] = ScenarioName.FAN_OUT,
    connections: Annotated[int, typer.Option(help="Connections.", min=1, max=1_000_000)] = 1_000,
    channels: Annotated[
        int | None,
        typer.Option(
            help="Channels for these connections.", min=1, max=1_000_000, show_default="1; presence: one per 100"
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Events per second in all; 0: as fast as the server answers.",
            min=0,
            max=1_000_000,
            show_default="20; one-to-one 500, presence 50",
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Bytes of event data.", min=64, max=1_000_000)] = 200,
    duration: Annotated[float, typer.Option(help="Seconds.", min=0.5, max=86_400)] = 10,
    publishers: Annotated[
        int, typer.Option(help="Publishing connections; each waits for its answers.", min=1, max=1_000)
    ] = 8,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes with connections.", min=1, max=256, show_default="by cores"),
    ] = None,
    own: Annotated[
        bool, typer.Option("--i-own-this-server", help="Needed for a server that is not on this machine.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(help="File for all figures; - for stdout.", rich_help_panel=_OUTPUT)
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(help="File for a plot; needs soundpost\\[bench].", rich_help_panel=_OUTPUT)
    ] = None,
    url: UrlOption = None,
    host: HostOption = None,
    port: PortOption = None,
    scheme: SchemeOption = None,
    path: PathOption = None,
    insecure: InsecureOption = False,
    app_id: AppIdOption = None,
    key: KeyOption = None,
    secret: SecretOption = None,
    config: ConfigOption = None,
) -> None:
    """Run a load test on this or any other Pusher-compatible server.

    fan-out: each event to all subscribers of a channel. one-to-one: a private channel for each connection. presence:
    members leave and come back. churn: a quarter of the connections come and go. idle: connections only, and pings.

    Every event is counted at every connection. Exit code 0: nothing lost and no errors, 1: anything else.

    \b
    [bold]Examples[/]
    soundpost bench                         1,000 connections to the server running here
    soundpost bench --connections 5000 --rate 50 --json result.json
    soundpost bench --scenario presence --svg plot.svg
    """
    from soundpost.server.connections.open_files import raise_open_files_limit
    from soundpost.tools.bench.endpoint import endpoint_of
    from soundpost.tools.bench.plot import check_matplotlib
    from soundpost.tools.bench.scenario import Scenario

    if svg is not None:
        check_matplotlib()
    for file in (svg, json if json != Path("-") else None):
        _check_writable(file)
    settings = _settings(Scenario(scenario), connections, channels, rate, size, duration, publishers, processes)
    target = resolve(
        TargetOptions(url, host, port, scheme, path, app_id, key, secret, config), needs=("app_id", "key", "secret")
    )
    _check_owner(target, own=own)
    endpoint = endpoint_of(
        target.base_url,
        target.app_id,
        target.key,
        target.secret,
        settings,
        raise_open_files_limit(),
        verify=not insecure,
    )
    report = _report(settings, endpoint)
    _write(report, json, svg)
    if not report.passed:
        raise typer.Exit(1)


def _settings(
    scenario: Scenario,
    connections: int,
    channels: int | None,
    rate: float | None,
    size: int,
    duration: float,
    publishers: int,
    processes: int | None,
) -> BenchSettings:
    from soundpost.tools.bench.scenario import (
        BenchSettings,
        Scenario,
        default_channels,
        default_processes,
        default_rate,
    )

    if scenario is Scenario.ONE_TO_ONE and channels not in (None, connections):
        raise typer.BadParameter("one-to-one has a channel for each connection: leave out --channels")
    if channels is not None and channels > connections:
        raise typer.BadParameter(f"--channels {channels}: more than connections ({connections}) to subscribe to them")
    if scenario is Scenario.IDLE and rate:
        raise typer.BadParameter("idle publishes nothing: leave out --rate")
    return BenchSettings(
        scenario=scenario,
        connections=connections,
        channels=channels or default_channels(scenario, connections),
        rate=default_rate(scenario) if rate is None else rate,
        size=size,
        duration=duration,
        publishers=publishers,
        processes=min(connections, processes or default_processes(connections)),
        run=secrets.token_hex(4),
    )


def _check_owner(target: Target, *, own: bool) -> None:
    from soundpost.tools.bench.loopback import addresses_of, remote_server_refusal

    reason = None if own else remote_server_refusal(target.base_url, addresses_of(target.base_url))
    if reason:
        raise typer.BadParameter(reason)


def _check_writable(file: Path | None) -> None:
    """Raise ConfigurationError before a run whose file could not be written after it."""
    if file is None:
        return
    try:
        with file.open("a"):
            pass
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from None


def _report(settings: BenchSettings, endpoint: Endpoint) -> BenchReport:
    from soundpost.tools.bench.report import report_of

    try:
        return report_of(asyncio.run(_run(settings, endpoint)))
    except asyncio.CancelledError:  # the second Ctrl-C
        raise typer.Exit(1) from None


async def _run(settings: BenchSettings, endpoint: Endpoint) -> RunResult:
    """Run the load test. Ctrl-C ends it in order, a second one at once."""
    from soundpost.tools.bench.preflight import try_once
    from soundpost.tools.bench.progress import progress_bar
    from soundpost.tools.bench.run import run

    interrupted = asyncio.Event()
    await try_once(settings, endpoint)
    running = asyncio.current_task()
    assert running is not None

    def interrupt() -> None:
        if interrupted.is_set():
            running.cancel()
        interrupted.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    with progress_bar() as show:
        return await run(settings, endpoint, show, interrupted)


def _write(report: BenchReport, json: Path | None, svg: Path | None) -> None:
    import msgspec
    from rich.console import Console

    from soundpost.tools.bench.plot import write_svg
    from soundpost.tools.bench.table import print_report

    to_stdout = json == Path("-")
    # On a pipe rich would take 80 columns and break lines, which grep could not find.
    file = sys.stderr if to_stdout else sys.stdout
    print_report(report, Console(file=file, width=None if file.isatty() else 200))
    if json is not None:
        text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
        if to_stdout:
            typer.echo(text, nl=False)
        else:
            json.write_text(text)
    if svg is not None:
        write_svg(report, svg)

"""Command ``soundpost top``: live figures of a server on this machine and of the hosts of its cluster."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from soundpost.errors import RequestError
from soundpost.tools.cli.control import ConfigOption, PortOption, ask
from soundpost.tools.cli.server_selection import server_name

if TYPE_CHECKING:
    from rich.console import Console

    from soundpost.server.figures.host_figures import HostFigures
    from soundpost.tools.cli.top_rates import Observation

_INTERVAL: Final = 1.0
"""Seconds between two frames."""
_OTHERS_STATE: Final = 6
"""Seconds within which the other hosts of a cluster have stated their figures again."""


def top(
    port: PortOption = None,
    once: Annotated[
        bool, typer.Option("--once", help="Print one frame, with the rates of one second, and end.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON, and end.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show live figures of a server on this machine: connections, events, latency, lag, hosts, workers, webhooks.

    Figures are those of all hosts of the cluster. Totals count since the start, rates the last seconds. Ctrl+C ends.
    Without a terminal one frame is printed.

    \b
    [bold]Examples[/]
    soundpost top
    soundpost top --once
    soundpost top --json | jq '.hosts[].apps'
    """
    name = server_name(port, config)
    if json:
        from soundpost.server.processes.status import as_json

        typer.echo(as_json({"hosts": _hosts(name)}).decode())
        return
    from rich.console import Console

    from soundpost.tools.cli.top_rates import Observation

    console, observation = Console(highlight=False), Observation()
    observation.take(_hosts(name))
    if once or not sys.stdout.isatty():
        _print(name, console, observation)
    else:
        _show(name, console, observation)


def _hosts(name: str) -> list[HostFigures]:
    """Ask a server; return the figures of its hosts. Raises RequestError."""
    figures = ask("figures", name).figures
    if not figures:
        raise RequestError(0, "the server sent no figures: it has another version than this command. Restart it")
    return figures


def _print(name: str, console: Console, observation: Observation) -> None:
    from soundpost.tools.cli.top_frame import frame

    for _ in range(_OTHERS_STATE):
        time.sleep(_INTERVAL)
        observation.take(_hosts(name))
        if observation.is_whole:
            break
    console.print(frame(observation))


def _show(name: str, console: Console, observation: Observation) -> None:
    """Show a frame each second until Ctrl+C. A server that restarts is asked again until it answers."""
    from rich.live import Live

    from soundpost.tools.cli.top_frame import frame

    first = frame(observation, height=console.height)
    with Live(first, console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(_INTERVAL)
                fault = ""
                try:
                    observation.take(_hosts(name))
                except RequestError as error:
                    fault = str(error)
                live.update(frame(observation, height=console.height, fault=fault), refresh=True)
        except KeyboardInterrupt:
            return

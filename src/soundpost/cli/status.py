"""``soundpost status``: how a server of this machine is doing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.cli.control import ConfigOption, PortOption, ask

if TYPE_CHECKING:
    from soundpost.server.status import Status


def status(
    port: PortOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Say how a server of this machine is doing: connections, channels, workers, cluster.

    Exit code 1 if none answers, or if it is draining.

    \b
    [bold]Examples[/]
    soundpost status
    soundpost status --json | jq .connections
    """
    from soundpost.server.control import as_json

    found = ask("status", port, config).status
    assert found is not None
    if json:
        typer.echo(as_json(found).decode())
    else:
        typer.echo("\n".join(_lines(found)))
    if found.draining:
        raise typer.Exit(1)


def _lines(status: Status) -> list[str]:
    place = status.unix_socket or f"{status.host}:{status.port}"
    state = "draining" if status.draining else "serving"
    lines = [
        f"soundpost {status.version}, process {status.pid}, {state} at {place} for {_duration(status.started_at)}",
        f"connections: {status.connections:,}",
    ]
    lines += [f"app {app.id}: {app.connections:,} connections, {app.channels:,} channels" for app in status.apps]
    lines += [
        f"worker {worker.number}, process {worker.pid}: {worker.connections:,} connections" for worker in status.workers
    ]
    if status.redis is not None:
        away = "Redis is away: this host serves alone"
        lines.append(away if status.redis.state == "away" else f"cluster: {status.redis.hosts} hosts over Redis")
    return lines


def _duration(since: float) -> str:
    seconds = int(time.time() - since)
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"

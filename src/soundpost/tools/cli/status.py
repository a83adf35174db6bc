"""Command ``soundpost status``: state of a server on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.errors import RequestError
from soundpost.tools.cli.control import ConfigOption, PortOption, ask
from soundpost.tools.cli.server_selection import server_name
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    from soundpost.server.processes.status import Status


def status(
    port: PortOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the state of a server on this machine: connections, channels, workers, cluster.

    Exit code 1 if no server answers, or if the server is draining.

    \b
    [bold]Examples[/]
    soundpost status
    soundpost status --json | jq .connections
    """
    from soundpost.server.processes.status import as_json

    reply = ask("status", server_name(port, config))
    found = reply.status
    if found is None:
        raise RequestError(0, f"the server gives no status: {reply.message}")
    lines = as_json(found).decode().split("\n") if json else _lines(found, reply.user)
    typer.echo("\n".join(map(printable, lines)))
    if found.draining:
        raise typer.Exit(1)


def _lines(status: Status, user: str) -> list[str]:
    address = status.unix_socket or f"{status.host}:{status.port}"
    state = "draining" if status.draining else "serving"
    owner = f" of user {user}" if user else ""
    duration = _duration(status.started_at)
    lines = [
        f"soundpost {status.version}, process {status.pid}{owner}, {state} at {address} for {duration}",
        f"connections: {status.connections:,}",
    ]
    lines += [
        f"app {app.id}{'' if app.enabled else ' (disabled)'}: "
        f"{counted(app.connections, 'connection')}, {counted(app.channels, 'channel')}"
        for app in status.apps
    ]
    lines += [
        f"worker {worker.number}, process {worker.pid}: {counted(worker.connections, 'connection')}"
        for worker in status.workers
    ]
    if status.redis is not None:
        away = "Redis is away: this host serves alone"
        lines.append(
            away if status.redis.state == "away" else f"cluster: {counted(status.redis.hosts, 'host')} over Redis"
        )
    if status.webhooks:
        lines.append(_webhooks(status))
    if status.build is not None:
        lines.append(f"runs: {status.build.summary()}")
    return [*lines, f"configuration: {status.configuration}"] if status.configuration else lines


def _webhooks(status: Status) -> str:
    counts = {
        name: sum(getattr(each, name) for each in status.webhooks) for name in ("waiting", "sent", "failed", "dropped")
    }
    shown = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    stopped = sum(each.stopped for each in status.webhooks)
    return (
        f"webhooks: {counted(len(status.webhooks), 'endpoint')}{f' ({stopped} stopped)' if stopped else ''}, "
        f"events: {shown}"
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 connection``, ``2,000 connections``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(since: float) -> str:
    seconds = int(time.time() - since)
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return counted(seconds, "second")

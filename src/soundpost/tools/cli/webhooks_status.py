"""Command ``soundpost webhooks status``: delivery counts and errors of the webhooks of a running server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.errors import RequestError
from soundpost.tools.cli.control import ConfigOption, PortOption, ask
from soundpost.tools.cli.server_selection import server_name
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    from soundpost.server.webhooks.figures import EndpointFigures


def status(
    port: PortOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list of the endpoints.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the numbers of events of each endpoint since the server started: waiting, sent, failed, dropped.

    Exit code 1 if no server answers, or if an endpoint is stopped: it has answered 410.

    \b
    [bold]Examples[/]
    soundpost webhooks status
    soundpost webhooks status --json | jq '.[].waiting'
    """
    from soundpost.server.processes.status import as_json

    reply = ask("status", server_name(port, config))
    if reply.status is None:
        raise RequestError(0, f"the server gives no status: {reply.message}")
    found, is_cluster = reply.status.webhooks, reply.status.redis is not None
    if json:
        lines = as_json(found).decode().split("\n")
    elif found:
        lines = [line for figures in found for line in endpoint_lines(figures, is_cluster=is_cluster)]
    else:
        lines = [_no_endpoints(is_cluster=is_cluster)]
    typer.echo("\n".join(map(printable, lines)))
    if any(each.stopped for each in found):
        raise typer.Exit(1)


def endpoint_lines(figures: EndpointFigures, *, is_cluster: bool = False) -> list[str]:
    """Return an endpoint's counts and last result, in two lines; in a cluster one host sends for all."""
    from soundpost.redaction import redacted_url

    counts = {name: getattr(figures, name) for name in ("waiting", "sent", "failed", "dropped")}
    shown = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    return [f"app {figures.app_id}: {redacted_url(figures.url)}: {shown}", f"  {_last(figures, is_cluster=is_cluster)}"]


def _last(figures: EndpointFigures, *, is_cluster: bool) -> str:
    """Return the result of the last attempt, in words."""
    if figures.stopped:
        return "stopped: the endpoint answered 410. Correct its url, or remove its table, then 'soundpost reload'"
    if figures.last_error:
        return f"last attempt failed: {figures.last_error}{_next(figures)}. 'soundpost webhooks test' shows more"
    if figures.last_status is None and is_cluster:
        return "nothing was sent by this host: another one of the cluster may send"
    if figures.last_status is None:
        return "nothing was sent yet"
    return f"last answer: {figures.last_status}"


def _next(figures: EndpointFigures) -> str:
    if figures.retry_at is None:
        return ""
    return f"; the next one is in {max(0, round(figures.retry_at - time.time()))} s"


def _no_endpoints(*, is_cluster: bool) -> str:
    if is_cluster:
        return "This host sends no webhooks: no app has [[apps.webhooks]], or another host of the cluster sends them"
    return "This server sends no webhooks: add [[apps.webhooks]] to an app in soundpost.toml, then 'soundpost reload'"

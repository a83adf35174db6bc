"""Commands ``soundpost restart``, ``reload`` and ``stop``: commands to a server on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.tools.cli.control import ConfigOption, PortOption, ask
from soundpost.tools.cli.server_selection import name_after_restart, server_name
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    from soundpost.server.processes.control_messages import Command, ControlReply
    from soundpost.tools.cli.waiting import Ask


def restart(
    port: PortOption = None,
    all: Annotated[bool, typer.Option("--all", help="All hosts of the cluster, one after the other.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return at the end of the restart; exit code 1 if it failed.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Restart a server on this machine with the installed code and the current configuration.

    The server refuses no connection meanwhile. It replaces its workers one after the other; each disconnects its
    clients over drain_time seconds. A server without workers disconnects all clients at once; they reconnect and wait
    for the new process. SIGHUP does the same. If the configuration has a mistake, nothing changes.

    \b
    [bold]Examples[/]
    soundpost restart
    soundpost restart --wait
    soundpost restart --all
    """
    if all and wait:
        raise typer.BadParameter("--wait watches the server on this machine: leave out --all")
    name = server_name(port, config, order="restart")
    later = name_after_restart(name, config) if wait else name
    typer.echo(printable(ask("restart all" if all else "restart", name).message))
    if wait:
        from soundpost.tools.cli.waiting import wait_for_restart

        wait_for_restart(_asking(name, later))
        typer.echo("restarted")


def stop(
    port: PortOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the server has ended.")] = False,
    config: ConfigOption = None,
) -> None:
    """Stop a server on this machine, as SIGTERM does: clients are disconnected over drain_time seconds.

    If systemd or Supervisor runs the server, stop it there: they would start it again.

    \b
    [bold]Examples[/]
    soundpost stop
    soundpost stop --wait
    """
    name = server_name(port, config, order="stop")
    typer.echo(printable(ask("stop", name).message))
    if wait:
        from soundpost.tools.cli.waiting import wait_for_stop

        wait_for_stop(_asking(name))
        typer.echo("stopped")


def reload(port: PortOption = None, config: ConfigOption = None) -> None:
    """Reload the apps of a server on this machine; connections of apps that stay are not closed.

    \b
    [bold]Examples[/]
    soundpost reload
    """
    typer.echo(printable(ask("reload", server_name(port, config, order="reload")).message))


def _asking(*names: str) -> Ask:
    """Return the function that asks the server with one of these control names."""
    from soundpost.server.processes.control_client import ask_server

    def ask_any(command: Command) -> ControlReply | None:
        replies = (ask_server(command, name) for name in dict.fromkeys(names))
        return next((reply for reply in replies if reply is not None), None)

    return ask_any

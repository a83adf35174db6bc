"""Commands ``soundpost restart`` and ``soundpost reload``: new code and configuration, without a closed port."""

from __future__ import annotations

from typing import Annotated

import typer

from soundpost.tools.cli.control import ConfigOption, PortOption, ask
from soundpost.wire.printable import printable


def restart(
    port: PortOption = None,
    all: Annotated[bool, typer.Option("--all", help="All hosts of the cluster, one after the other.")] = False,
    config: ConfigOption = None,
) -> None:
    """Restart a server of this machine with the code and configuration there are now; no connection is refused.

    With workers, one after the other is replaced, and sends its clients away over drain_time seconds. One process
    sends all away at once; who comes back waits for the new one. SIGHUP does the same. A configuration with a mistake
    changes nothing.

    \b
    [bold]Examples[/]
    soundpost restart
    soundpost restart --all
    """
    typer.echo(printable(ask("restart all" if all else "restart", port, config).said))


def reload(port: PortOption = None, config: ConfigOption = None) -> None:
    """Read the apps of a server of this machine anew; connections of those that stay are not touched.

    \b
    [bold]Examples[/]
    soundpost reload
    """
    typer.echo(printable(ask("reload", port, config).said))

"""Requests of ``status``, ``reload`` and ``restart`` to a server of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from soundpost.defaults import DEFAULT_PORT
from soundpost.errors import ConfigurationError, RequestError

if TYPE_CHECKING:
    from soundpost.server.processes.control_messages import Command, ControlReply

USUAL_PORT: Final = str(DEFAULT_PORT)
PortOption = Annotated[
    int | None, typer.Option(help="Port of the server.", show_default="the one configured here, or the only one")
]
ConfigOption = Annotated[Path | None, typer.Option(help="Configuration file.", show_default="soundpost.toml")]


def ask(command: Command, port: int | None, config: Path | None) -> ControlReply:
    """Return the server's reply to a command. Raises RequestError if no server runs, or if it refuses."""
    from soundpost.server.processes.control_client import ask_server, running_servers

    name = _name(port, config)
    try:
        reply = ask_server(command, name)
    except OSError as error:
        raise RequestError(0, f"{_words(name)} does not answer: {error}") from None
    if reply is None:
        others = f"; there are others, on the ports {', '.join(running)}" if (running := running_servers()) else ""
        raise RequestError(
            0,
            f"{_words(name)} does not run on this machine, or not as this user{others}. Name its port with --port, and "
            "be its user, or root (sudo -u soundpost soundpost status)",
        )
    if not reply.ok:
        raise RequestError(0, reply.said)
    return reply


def _name(port: int | None, config: Path | None) -> str:
    """Return a server's name: its port as given, as configured here, or of the only server. Raises RequestError."""
    from soundpost.server.processes.control_client import running_servers

    name = str(port) if port is not None else _configured(config)
    if name is not None:
        return name
    running = running_servers()
    if len(running) > 1 and USUAL_PORT not in running:
        raise RequestError(0, f"several servers run here, on the ports {', '.join(running)}: choose one with --port")
    return running[0] if len(running) == 1 else USUAL_PORT


def _configured(config: Path | None) -> str | None:
    """Return the configured server's name; None without one, or if the configuration has a mistake."""
    from soundpost.server.processes.control_paths import control_name
    from soundpost.tools.cli.calling_application import load_here

    try:
        loaded = load_here(config)
    except ConfigurationError:
        return None
    server = loaded.settings.server
    if loaded.generated or (server.port == 0 and server.unix_socket is None):
        return None
    return control_name(server.port, server.unix_socket)


def _words(name: str) -> str:
    return f"the server at port {name}" if name.isdigit() else "the server at its unix_socket"

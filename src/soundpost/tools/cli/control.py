"""Requests of ``status``, ``reload``, ``restart`` and ``stop`` to a server of this machine."""

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
    return ask_named(command, server_name(port, config))


def ask_named(command: Command, name: str) -> ControlReply:
    """Return the reply of the server with a control name. Raises RequestError if it does not run, or if it refuses."""
    from soundpost.server.processes.control_client import ask_server

    try:
        reply = ask_server(command, name)
    except OSError as error:
        raise RequestError(0, f"{_words(name)} does not answer: {error}") from None
    if reply is None:
        raise RequestError(0, _not_running(name))
    if not reply.ok:
        raise RequestError(0, reply.said)
    return reply


def server_name(port: int | None, config: Path | None) -> str:
    """Return a server's control name: by its port as given, as configured here, or the only server's.

    Raises RequestError if that leaves a choice.
    """
    from soundpost.server.processes.control_client import running_servers
    from soundpost.server.processes.control_paths import has_address, name_in_words, port_of_name

    running = running_servers()
    if port is not None:
        return _one_of([name for name in running if port_of_name(name) == port], f"use port {port}", str(port))
    configured = _configured(config)
    if configured is not None:
        if configured in running or port_of_name(configured) is None:
            return configured
        at_port = [name for name in running if port_of_name(name) == port_of_name(configured)]
        if at_port and has_address(configured) and any(map(has_address, at_port)):
            raise RequestError(
                0,
                f"the server at port {name_in_words(configured)} does not run; another one does, at "
                f"{', '.join(map(name_in_words, at_port))}: to ask that one, give --port",
            )
        return at_port[0] if len(at_port) == 1 else configured
    if len(running) > 1 and USUAL_PORT in running:
        return USUAL_PORT
    return _one_of(running, "run here", USUAL_PORT)


def _one_of(names: list[str], why: str, otherwise: str) -> str:
    """Return the only name, or ``otherwise`` if there is none. Raises RequestError for several."""
    from soundpost.server.processes.control_paths import name_in_words, port_of_name

    if len(names) < 2:
        return names[0] if names else otherwise
    if len({port_of_name(name) for name in names}) > 1:
        raise RequestError(0, f"several servers {why}, on the ports {_ports(names)}: choose one with --port")
    shown = ", ".join(map(name_in_words, names))
    raise RequestError(
        0, f"several servers {why}, at different addresses: {shown}. Name the configuration of one with --config"
    )


def _ports(names: list[str]) -> str:
    """Return the ports of several servers, with the addresses of those that share a port."""
    from soundpost.server.processes.control_paths import name_in_words, port_of_name

    ports = [port_of_name(name) for name in names]
    shown = [
        str(port) if port is not None and ports.count(port) == 1 else name_in_words(name)
        for port, name in zip(ports, names, strict=True)
    ]
    return ", ".join(shown)


def _not_running(name: str) -> str:
    from soundpost.server.processes.control_client import running_servers

    running = running_servers()
    others = f"; there are others, on the ports {_ports(running)}" if running else ""
    return (
        f"{_words(name)} does not run on this machine, or not as this user{others}. Name its port with --port, and "
        "be its user, or root (sudo -u soundpost soundpost status)"
    )


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
    return control_name(server.port, server.unix_socket, server.host)


def _words(name: str) -> str:
    from soundpost.server.processes.control_paths import port_of_name

    port = port_of_name(name)
    return "the server at its unix_socket" if port is None else f"the server at port {port}"

"""Requests of ``status``, ``reload``, ``restart`` and ``stop`` to a server on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.errors import RequestError

if TYPE_CHECKING:
    from soundpost.server.processes.control_messages import Command, ControlReply

PortOption = Annotated[
    int | None, typer.Option(help="Port of the server.", show_default="the one configured here, or the only one")
]
ConfigOption = Annotated[Path | None, typer.Option(help="Configuration file.", show_default="soundpost.toml")]


def ask(command: Command, name: str) -> ControlReply:
    """Return the reply of the server with a control name. Raises RequestError if it does not run, or if it refuses."""
    from soundpost.server.processes.control_client import ask_server
    from soundpost.server.processes.control_messages import TIMEOUT

    try:
        reply = ask_server(command, name)
    except TimeoutError:
        raise RequestError(
            0,
            f"{in_words(name)} runs, but has not answered within {TIMEOUT:g} s: it hangs, or the machine is very busy. "
            "systemd or Supervisor end a server that hangs for 30 s and start it again; its log has the reason",
        ) from None
    except OSError as error:
        raise RequestError(0, f"{in_words(name)} does not answer: {error}") from None
    if reply is None:
        raise RequestError(0, _not_running(name))
    if not reply.ok:
        raise RequestError(0, reply.message)
    return reply


def in_words(name: str) -> str:
    """Return the server with a control name as messages call it."""
    from soundpost.server.processes.control_paths import port_of_name

    port = port_of_name(name)
    return "the server at its unix_socket" if port is None else f"the server at port {port}"


def ports(names: list[str]) -> str:
    """Return the ports of several servers, with the addresses of those that share a port."""
    from soundpost.server.processes.control_paths import name_in_words, port_of_name

    found = [port_of_name(name) for name in names]
    shown = [
        str(port) if port is not None and found.count(port) == 1 else name_in_words(name)
        for port, name in zip(found, names, strict=True)
    ]
    return ", ".join(shown)


def _not_running(name: str) -> str:
    """Return the message about a server that does not run, with the way out."""
    from soundpost.invocation import soundpost_command
    from soundpost.server.processes.control_client import running_servers

    running = running_servers()
    is_root = sys.platform != "win32" and os.geteuid() == 0
    sentences = [f"{in_words(name)} does not run{'' if is_root else ' as this user'}: start it"]
    if not is_root:
        sentences.append(
            f"A server of another user answers to that user and to root: sudo {soundpost_command()} status"
        )
    if running:
        sentences.append(f"Other servers run on the ports {ports(running)}: choose one with --port")
    return ". ".join(sentences)

"""The messages of the control socket: a request is a line of JSON, and so is its reply."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.processes.status import Status
from soundpost.wire.json_text import reader

Command = Literal["status", "figures", "reload", "restart", "restart all", "restart progress", "stop"]
"""Name of a command. ``figures`` returns the figures of all hosts of the cluster.

``restart progress`` returns whether a restart is done; the reply is an error if the restart failed."""
MAX_REQUEST: Final = 10_000
"""Size of a request in bytes, at most."""
MAX_REPLY: Final = 1_048_576
"""Size of a reply in bytes, at most."""
TIMEOUT: Final = 5.0
"""Seconds until a request, or its reply, must have come."""


class ControlRequest(Struct, forbid_unknown_fields=True):
    """A request to a server."""

    do: Command


class ControlReply(Struct):
    """A server's reply to a command."""

    ok: bool
    message: str = field(default="", name="said")
    """Answer in words, or the reason of a refusal."""
    status: Status | None = None
    figures: list[HostFigures] | None = None
    """Figures of the host that is asked, and of the others behind it."""
    done: bool = True
    """False while a restart is under way, for ``restart progress``."""
    user: str = ""
    """The user of the server, if not the asker's own; known from the kernel, not from the server."""


read_request: Final = reader(ControlRequest)
read_reply: Final = reader(ControlReply)

"""Interface of the server that ``soundpost start`` runs: one process, or a parent with workers."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from soundpost.config.settings import Settings
from soundpost.core.app_settings import AppSettings
from soundpost.core.node import Node
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.inspection.inspector import Inspector
from soundpost.server.processes.status import Status

if TYPE_CHECKING:
    from soundpost.backplane.redis import RedisBackplane

_DRAIN_TIME_WHERE_OTHERS_SERVE: Final = 10.0


class Restart(NamedTuple):
    """A restart that has begun."""

    message: str
    """The answer to the command."""
    replacement: Coroutine[Any, Any, None] | None
    """The replacement of all workers, to be awaited; None if the process is to stop and to execute itself again.

    Raises StartError if a new worker cannot start.
    """


class Daemon(Protocol):
    """One process or several, started, stopped and changed in the same way."""

    settings: Settings
    port: int
    backplane: RedisBackplane | None
    inspector: Inspector

    @property
    def operators_node(self) -> Node:
        """Node by which operators publish and ask: the only one, or one without clients beside the hub."""

    @property
    def connections(self) -> int:
        """Number of connections of clients."""

    @property
    def time_to_restart(self) -> float:
        """Seconds a restart takes at most, including the start of the new process or workers."""

    async def start(self) -> int:
        """Serve; return how many sockets may be open. Raises StartError."""

    async def stop(self, drain_time: float = 0, delay: float = 0) -> None:
        """Disconnect all clients after ``delay`` seconds, over ``drain_time`` seconds, and end."""

    def stop_now(self) -> None:
        """Disconnect all clients at once, in a stop that is under way."""

    def begin_restart(self, settings: Settings) -> Restart:
        """Begin a restart with new settings. Raises StartError for settings with which no server could start."""

    def reload(self, apps: tuple[AppSettings, ...]) -> None:
        """Serve other apps, without touching the connections of apps that stay."""

    def status(self) -> Status:
        """Return the status for ``soundpost status``."""

    async def figures(self) -> HostFigures:
        """Return the figures of this host."""


def drain_time(settings: Settings, *, others_serve: bool) -> float:
    """Return the seconds over which clients are disconnected in a stop or restart.

    The default is 10 where other servers take the clients, and 0 where none does: clients would only come back later.
    """
    wanted = settings.server.drain_time
    if wanted is not None:
        return wanted
    return _DRAIN_TIME_WHERE_OTHERS_SERVE if others_serve else 0.0


def disconnected_in_words(clients: int) -> str:
    """Return in words how many clients a stop or a restart has disconnected."""
    if not clients:
        return "no client was connected"
    return "1 client was disconnected" if clients == 1 else f"{clients:,} clients were disconnected"

"""Interface of the daemon that the dashboard belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from soundpost.config.settings import Settings
from soundpost.core.app import App
from soundpost.core.node import Node
from soundpost.server.admin_http import AdminError
from soundpost.server.figures.host_figures import HostFigures, Sample
from soundpost.server.inspection.inspector import Inspector

if TYPE_CHECKING:
    from soundpost.backplane.redis import RedisBackplane


class DaemonView(Protocol):
    """The parts of :class:`soundpost.server.processes.daemon.Daemon` that the dashboard reads and uses."""

    settings: Settings
    port: int
    backplane: RedisBackplane | None
    inspector: Inspector

    @property
    def operators_node(self) -> Node:
        """Node by which operators publish and ask: the only one, or one without clients beside the hub."""


class TimelineView(Protocol):
    """The samples of the last hour."""

    @property
    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first."""


class FiguresView(Protocol):
    """The figures of all hosts, and those of the last hour of this one."""

    @property
    def timeline(self) -> TimelineView:
        """The last hour."""

    async def cluster_figures(self) -> list[HostFigures]:
        """Return the figures of all hosts, this one first."""


def app_of(daemon: DaemonView, app_id: str) -> App:
    """Return an app. Raises AdminError if there is none with this id."""
    app = daemon.operators_node.by_id.get(app_id)
    if app is None:
        raise AdminError(404, f"There is no app {app_id[:100]!a} on this server")
    return app

"""The figures of a host: the sum of its processes, with registry, Redis and webhooks."""

from __future__ import annotations

import secrets
import socket
import time
from typing import TYPE_CHECKING, Final

from soundpost import __version__
from soundpost.backplane.registry import Registry
from soundpost.config.settings import ServerSettings
from soundpost.core.figures import NodeFigures
from soundpost.server.figures.certificate_end import certificate_ends_at
from soundpost.server.figures.host_figures import HostFigures, RedisFigures, WorkerFigures
from soundpost.server.processes.status import BEGAN
from soundpost.server.webhooks.figures import EndpointFigures

if TYPE_CHECKING:
    from soundpost.backplane.redis import RedisBackplane

_NODE_ID: Final = secrets.token_hex(6)


def host_figures(
    total: NodeFigures,
    workers: list[WorkerFigures],
    *,
    server: ServerSettings,
    port: int,
    draining: bool,
    registry: Registry,
    backplane: RedisBackplane | None,
    webhooks: list[EndpointFigures],
) -> HostFigures:
    """Return the figures of a host whose processes have the figures ``total`` together."""
    occupancy = registry.occupancy()
    history_events, history_bytes = registry.kept()
    return HostFigures(
        name=socket.gethostname(),
        node=_NODE_ID,
        version=__version__,
        started_at=BEGAN,
        at=time.time(),
        port=port,
        draining=draining,
        apps=total.apps,
        channels={app_id: dict(each.channels) for app_id, each in occupancy.items()},
        members={app_id: each.members for app_id, each in occupancy.items()},
        lag=total.lag,
        refusals=total.refusals,
        workers=workers,
        cpu=total.cpu,
        memory=total.memory,
        open_files=total.open_files,
        max_open_files=total.max_open_files,
        history_bytes=history_bytes,
        history_events=history_events,
        webhooks=webhooks,
        redis=None if backplane is None else _redis_figures(backplane),
        certificate_ends_at=certificate_ends_at(server.tls.certificate),
    )


def _redis_figures(backplane: RedisBackplane) -> RedisFigures:
    events, size = backplane.registry.waiting
    return RedisFigures(
        state="connected" if backplane.hosts else "away",
        hosts=backplane.hosts,
        waiting_events=events,
        waiting_bytes=size,
        reconnects=backplane.reconnects,
    )

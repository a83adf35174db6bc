"""The status of a running server, for ``soundpost status``."""

from __future__ import annotations

import os
import time
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from soundpost import __version__
from soundpost.backplane.registry import Load
from soundpost.compilation import Build
from soundpost.config.settings import Settings
from soundpost.server.webhooks.figures import EndpointFigures

BEGAN: Final = time.time()


class AppStatus(Struct, frozen=True):
    """The status of an app on this host."""

    id: str
    connections: int
    channels: int
    enabled: bool = True
    """False for an app that is configured, but refuses connections."""


class WorkerStatus(Struct, frozen=True):
    """The status of a worker process."""

    number: int
    pid: int
    connections: int


class RedisStatus(Struct, frozen=True):
    """The status of the cluster, as this host sees it."""

    state: Literal["connected", "away"]
    hosts: int
    """The number of hosts, this one included."""


class Status(Struct, frozen=True):
    """The status of a server. Times are in seconds since 1970."""

    version: str
    pid: int
    started_at: float
    host: str
    port: int
    unix_socket: str | None
    draining: bool
    connections: int
    apps: list[AppStatus]
    workers: list[WorkerStatus]
    redis: RedisStatus | None
    configuration: str = ""
    """The path of the configuration file that the server reads, or would read; empty if it does not say."""
    webhooks: list[EndpointFigures] = []
    """Figures of the webhook endpoints that this host sends to; empty without endpoints, or if another host sends."""
    build: Build | None = None
    """Compiled parts, Python and event loop of the server; None if nobody has looked, or the server is older."""

    @classmethod
    def of(
        cls,
        settings: Settings,
        port: int,
        hosts: int | None,
        load: dict[str, Load],
        workers: list[WorkerStatus],
        *,
        draining: bool,
        webhooks: list[EndpointFigures] | None = None,
    ) -> Status:
        """Return the status of a server. ``hosts``: those of the cluster, 0 while Redis is away, None without one."""
        server = settings.server
        known = {app.id: app.enabled for app in settings.apps}
        redis = None if hosts is None else RedisStatus("connected" if hosts else "away", hosts)
        return cls(
            version=__version__,
            pid=os.getpid(),
            started_at=BEGAN,
            host=server.host,
            port=port,
            unix_socket=server.unix_socket,
            draining=draining,
            connections=connections_in(load),
            apps=[
                AppStatus(app_id, *each, enabled=known.get(app_id, True))
                for app_id, each in load.items()
                if app_id in known or each.connections
            ],
            workers=workers,
            redis=redis,
            webhooks=webhooks or [],
        )


def as_json(value: Any) -> bytes:
    """Return indented JSON, for ``--json``."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def connections_in(load: dict[str, Load]) -> int:
    """Return the number of connections of clients of all apps."""
    return sum(each.connections for each in load.values())

"""The parent of several worker processes behind one port, with the hub between them."""

from __future__ import annotations

import asyncio
import os
from functools import cached_property, partial
from typing import Final

import msgspec

from soundpost.backplane import SingleNode
from soundpost.backplane.hub import Hub
from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.app_settings import AppSettings
from soundpost.core.figures import NodeFigures
from soundpost.core.histogram import Histogram
from soundpost.core.node import Node
from soundpost.errors import StartError
from soundpost.server.connections.listening import listening_sockets, port_of
from soundpost.server.connections.open_files import places_for_websockets
from soundpost.server.dashboard.dashboard import check_dashboard, kept_dashboard
from soundpost.server.figures.collecting import host_figures
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.figures.loop_lag import LoopLag
from soundpost.server.figures.process_figures import with_process
from soundpost.server.garbage_collection import spare_the_loop
from soundpost.server.inspection.inspector_factory import make_inspector
from soundpost.server.processes.daemon import Restart
from soundpost.server.processes.logs import log_as_configured
from soundpost.server.processes.scaling import redis_backplane, webhook_dispatcher, webhook_figures
from soundpost.server.processes.standalone_registry import standalone_registry
from soundpost.server.processes.standalone_webhooks import standalone_webhooks
from soundpost.server.processes.status import Status, WorkerStatus, connections_in
from soundpost.server.processes.worker_figures import worker_figures
from soundpost.server.processes.worker_pool import WorkerPool
from soundpost.server.webhooks import WebhookDispatcher

_KEPT: Final = (
    "host",
    "port",
    "unix_socket",
    "workers",
    "path",
    "private_webhooks",
    "max_webhook_queue_size",
    "state_dir",
)
"""Settings of ``[server]`` that a restart does not change, like all of ``[scaling]`` and ``[metrics]``: they are the
parent's."""


class Workers:
    """A daemon with workers: their parent, and the hub between them."""

    def __init__(self, settings: Settings, count: int, *, playground: bool, debug: bool) -> None:
        self.settings = settings
        self._debug = debug
        limit = _websockets(settings.server)
        sockets = listening_sockets(settings.server, count)
        self.backplane = redis_backplane(settings, max_connections=limit)
        self._webhooks = standalone_webhooks(settings) if self.backplane is None else None
        own = standalone_registry(settings, max_connections=limit, webhooks=self._webhooks)
        self._hub = Hub(own if self.backplane is None else self.backplane.registry)
        self._pool = WorkerPool(self._hub, sockets, lambda: self.settings, playground=playground, debug=debug)
        self.port = port_of(sockets[0])
        self.inspector = make_inspector(
            self.port, self._pool.serving, self._hub.registry, self.backplane, lambda: self.webhooks
        )
        self._lag_figures = Histogram()
        self._lag = LoopLag(self._lag_figures, asyncio.get_running_loop().call_later)

    async def start(self) -> int:
        """Start all workers; return how many sockets they may open. Raises StartError if one cannot start."""
        try:
            if self.backplane is not None:
                await self.backplane.start()
            await self._pool.start()
            self._lag.start()
            spare_the_loop()
            capacity = await self._pool.all_ready()
        except OSError as error:
            await self.stop()
            raise StartError(f"cannot start the workers: {error}") from None
        except BaseException:
            await self.stop()
            raise
        return min(capacity, self.settings.server.max_connections or capacity)

    @cached_property
    def operators_node(self) -> Node:
        """Node without clients beside the hub, by which operators publish and ask."""
        loop = asyncio.get_running_loop()
        return Node(
            self.settings.apps,
            peers=SingleNode(self._hub.registry),
            call_soon=loop.call_soon,
            call_later=loop.call_later,
        )

    @property
    def webhooks(self) -> WebhookDispatcher | None:
        """Dispatcher of webhooks of this host."""
        return webhook_dispatcher(self._webhooks, self.backplane)

    @property
    def connections(self) -> int:
        """Number of connections of clients."""
        return connections_in(self._hub.registry.load())

    @property
    def time_to_restart(self) -> float:
        """Seconds a restart takes at most, for all workers one after the other."""
        return self._pool.time_to_restart

    async def stop(self, drain_time: float = 0, delay: float = 0) -> None:
        """Have the workers disconnect all clients after ``delay`` seconds, over ``drain_time`` seconds, and end.

        Workers that do not end in time are killed.
        """
        if self._webhooks is not None:
            self._webhooks.hold_ends()
        await self._pool.stop(drain_time, delay)
        self._lag.stop()
        if self.backplane is not None:
            await self.backplane.stop()
        if self._webhooks is not None:
            await self._webhooks.stop(self.settings.server.shutdown_timeout)

    def stop_now(self) -> None:
        """Have the workers disconnect all clients at once, in a stop that is under way."""
        self._pool.stop_now()

    def status(self) -> Status:
        """Return the status for ``soundpost status``."""
        registry = self._hub.registry
        workers = [
            WorkerStatus(worker.number, worker.process.pid, registry.connections_of(worker.end))
            for worker in self._pool.workers
            if worker.process is not None
        ]
        hosts = None if self.backplane is None else self.backplane.hosts
        return Status.of(
            self.settings,
            self.port,
            hosts,
            registry.load(),
            workers,
            draining=self._pool.is_stopping,
            webhooks=webhook_figures(self._webhooks, self.backplane),
        )

    async def figures(self) -> HostFigures:
        """Return the figures of this host, of workers that do not answer those that they had last."""
        await self._pool.figures.ask(self._pool.all)
        apps = self.operators_node.figures.apps if "operators_node" in self.__dict__ else {}
        own = with_process(NodeFigures(apps=apps, lag=self._lag_figures, lag_max=self._lag.recent))
        own.max_open_files = own.open_files  # the parent has no clients: its limit does not count for theirs
        return host_figures(
            self._pool.figures.total(own),
            [worker_figures(0, os.getpid(), own), *self._pool.figures.lines(self._pool.workers)],
            server=self.settings.server,
            port=self.port,
            draining=self._pool.is_stopping,
            registry=self._hub.registry,
            backplane=self.backplane,
            webhooks=webhook_figures(self._webhooks, self.backplane),
        )

    # Restart and reload

    def begin_restart(self, settings: Settings) -> Restart:
        """Return the replacement of all workers, to be awaited. Raises StartError."""
        check_dashboard(settings.dashboard, settings.dashboard)
        message = f"restarting the workers one after the other{_not_restarted(self.settings, settings)}"
        return Restart(message, self._replace_all(settings))

    async def _replace_all(self, settings: Settings) -> None:
        """Replace the workers by new processes, with new code and settings, one after the other.

        The old worker disconnects its clients only when the new one listens on the same sockets: no connection is
        refused. Raises StartError if a new worker cannot start: the old ones go on.
        """
        kept = {name: getattr(self.settings.server, name) for name in _KEPT}
        server = msgspec.structs.replace(settings.server, **kept)
        dashboard = kept_dashboard(self.settings.dashboard, settings.dashboard)
        settings = msgspec.structs.replace(
            settings, server=server, scaling=self.settings.scaling, dashboard=dashboard, metrics=self.settings.metrics
        )
        self._hub.registry.reconfigure(settings.apps)  # before the first new worker asks for apps
        try:
            for index in range(len(self._pool.workers)):
                if not self._pool.is_stopping:
                    await self._pool.replace(index, settings, partial(self._take_settings, settings))
        finally:
            self._hub.registry.reconfigure(self.settings.apps)

    def reload(self, apps: tuple[AppSettings, ...]) -> None:
        """Serve other apps, without touching the connections of apps that stay."""
        self.settings = msgspec.structs.replace(self.settings, apps=apps)
        self._reconfigure(apps)

    def _reconfigure(self, apps: tuple[AppSettings, ...]) -> None:
        if self._webhooks is not None:
            self._webhooks.configure(apps)
        self._hub.reconfigure(apps)
        if "operators_node" in self.__dict__:
            self.operators_node.reconfigure(apps)

    def _take_settings(self, settings: Settings) -> None:
        """Have the parent go on with the settings with which a new worker listens."""
        if self.settings is not settings:
            self.settings = settings
            self._reconfigure(settings.apps)
            log_as_configured(settings.server, debug=self._debug, process="parent")


def _websockets(settings: ServerSettings) -> int | None:
    """Return how many WebSockets all workers together may have open; None if ``max_connections`` is not set."""
    return None if settings.max_connections is None else places_for_websockets(settings.max_connections)


def _not_restarted(now: Settings, then: Settings) -> str:
    changed = [name for name in _KEPT if getattr(now.server, name) != getattr(then.server, name)]
    if now.scaling != then.scaling:
        changed.append("[scaling]")
    if kept_dashboard(now.dashboard, then.dashboard) != then.dashboard:
        changed.append("[dashboard]")
    if now.metrics != then.metrics:
        changed.append("[metrics]")
    return f". Not applied, as it needs a stop and a start: {', '.join(changed)}" if changed else ""

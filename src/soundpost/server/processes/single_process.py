"""A daemon without workers: one process does everything."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

import msgspec

from soundpost.backplane import SingleNode
from soundpost.config.settings import MetricsSettings, Settings
from soundpost.core.app_settings import AppSettings
from soundpost.core.figures import NodeFigures, add_up
from soundpost.core.node import Node
from soundpost.core.observer import Observer
from soundpost.errors import StartError
from soundpost.server.admin_http import check_address
from soundpost.server.connections.listening import listening_sockets, port_of
from soundpost.server.connections.socket_activation import make_inheritable
from soundpost.server.connections.tls import check_certificate
from soundpost.server.dashboard.dashboard import check_dashboard
from soundpost.server.figures.collecting import host_figures
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.inspection.inspector_factory import make_inspector
from soundpost.server.processes.daemon import Restart
from soundpost.server.processes.debug import MessageStream
from soundpost.server.processes.scaling import redis_backplane, webhook_dispatcher, webhook_figures
from soundpost.server.processes.standalone_registry import hand_over_registry, standalone_registry
from soundpost.server.processes.standalone_webhooks import check_state_dir, standalone_webhooks
from soundpost.server.processes.status import Status, connections_in
from soundpost.server.processes.worker_figures import worker_figures
from soundpost.server.server import Server
from soundpost.server.webhooks import WebhookDispatcher

_START_TIMEOUT: Final = 5  # seconds that the next process takes to start, at most
_WEBHOOK_TIMEOUT: Final = (
    0.5  # seconds that endpoints of webhooks have in a restart; later they get the same events again
)


class SingleProcess:
    """A daemon of one process; see :class:`soundpost.server.processes.daemon.Daemon`."""

    def __init__(self, settings: Settings, *, playground: bool, debug: bool) -> None:
        self.settings = settings
        (self.sockets,) = listening_sockets(settings.server)
        self.port = port_of(self.sockets)
        self.backplane = redis_backplane(settings)
        self._webhooks = standalone_webhooks(settings) if self.backplane is None else None
        self._own = standalone_registry(settings, webhooks=self._webhooks)
        self._registry = self._own if self.backplane is None else self.backplane.registry
        self._is_restarting = False
        observers: list[Observer] = [MessageStream()] if debug else []
        self._server = Server(settings, playground=playground, observers=observers, peers=SingleNode(self._registry))

        self.inspector = make_inspector(
            self.port, lambda: {"": self._server.node}, self._registry, self.backplane, lambda: self.webhooks
        )

    @property
    def operators_node(self) -> Node:
        """The node, by which operators publish and ask too."""
        return self._server.node

    @property
    def webhooks(self) -> WebhookDispatcher | None:
        """Dispatcher of webhooks of this host."""
        return webhook_dispatcher(self._webhooks, self.backplane)

    @property
    def connections(self) -> int:
        """Number of connections of clients."""
        return connections_in(self._registry.load())

    @property
    def time_to_restart(self) -> float:
        """Seconds a restart takes at most, including the start of the next process."""
        return self.settings.server.shutdown_timeout + _START_TIMEOUT

    async def start(self) -> int:
        """Serve; return how many sockets may be open. Raises StartError."""
        if self.backplane is not None:
            await self.backplane.start()
        try:
            await self._server.start([sock.dup() for sock in self.sockets])
        except StartError:
            if self.backplane is not None:
                await self.backplane.stop()
            raise
        return self._server.limits.capacity

    async def stop(self, drain_time: float = 0, delay: float = 0) -> None:
        """Disconnect all clients after ``delay`` seconds, over ``drain_time`` seconds, and end."""
        began = time.monotonic()
        if self._webhooks is not None:
            self._webhooks.hold_ends()
        for sock in self.sockets:  # the server has its own
            sock.close()
        await self._server.stop(drain_time, delay)
        if self.backplane is not None:
            await self.backplane.stop()
        if self._webhooks is not None and not self._is_restarting:
            await self._webhooks.stop(self.settings.server.shutdown_timeout)
        if self._is_restarting:
            if self._webhooks is not None:
                await self._webhooks.pause(_WEBHOOK_TIMEOUT)
            hand_over_registry(self._own, stopped_at=began, webhooks=self._webhooks)
            if self._webhooks is not None:
                self._webhooks.close()

    def stop_now(self) -> None:
        """Disconnect all clients at once, in a stop that is under way."""
        self._server.stop_now()

    def begin_restart(self, settings: Settings) -> Restart:
        """Leave listening sockets for the successor. Raises StartError for settings with which it could not start."""
        check_state_dir(settings.server)
        check_dashboard(self.settings.dashboard, settings.dashboard)
        _check_metrics(self.settings.metrics, settings.metrics)
        make_inheritable(self._sockets_for(settings))
        self._is_restarting = True
        return Restart("restarting", None)

    def reload(self, apps: tuple[AppSettings, ...]) -> None:
        """Serve other apps, without touching the connections of apps that stay."""
        self.settings = msgspec.structs.replace(self.settings, apps=apps)
        if self._webhooks is not None:
            self._webhooks.configure(apps)
        self._registry.reconfigure(apps)
        self._server.node.reconfigure(apps)
        self._server.reload_certificate()

    def status(self) -> Status:
        """Return the status for ``soundpost status``."""
        hosts = None if self.backplane is None else self.backplane.hosts
        return Status.of(
            self.settings,
            self.port,
            hosts,
            self._registry.load(),
            [],
            draining=self._server.draining,
            webhooks=webhook_figures(self._webhooks, self.backplane),
        )

    async def figures(self) -> HostFigures:
        """Return the figures of this host."""
        total = NodeFigures()
        add_up(total, self._server.figures())
        return host_figures(
            total,
            [worker_figures(0, os.getpid(), total)],
            server=self.settings.server,
            port=self.port,
            draining=self._server.draining,
            registry=self._registry,
            backplane=self.backplane,
            webhooks=webhook_figures(self._webhooks, self.backplane),
        )

    def _sockets_for(self, settings: Settings) -> list[socket.socket]:
        """Return listening sockets for a successor with these settings: the same, if the address is the same.

        Raises StartError for settings with which the successor could not start.
        """
        ours, theirs = self.settings.server, settings.server
        check_certificate(theirs.tls)
        if (ours.port, ours.unix_socket) != (theirs.port, theirs.unix_socket):
            return listening_sockets(theirs)[0]
        return self.sockets if ours.host == theirs.host else []  # another address cannot be bound while this one is


def _check_metrics(now: MetricsSettings, then: MetricsSettings) -> None:
    """Raise StartError if a process with the settings ``then`` could not have its metrics where they say."""
    if then.port is not None:
        check_address(None if now.port is None else (now.host, now.port), (then.host, then.port), name="metrics")

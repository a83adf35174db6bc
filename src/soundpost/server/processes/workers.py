"""The parent of several worker processes behind one port: start, restart after a death, replacement, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import msgspec

from soundpost.backplane import SingleNode
from soundpost.backplane.hub import Hub
from soundpost.backplane.hub_messages import Configuration, Failed, Figures, Message, Ping, Pong, Ready, Retire
from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.app_settings import AppSettings
from soundpost.core.figures import Histogram, NodeFigures
from soundpost.core.inspection import Inspectable
from soundpost.core.node import Node
from soundpost.errors import StartError
from soundpost.log_fields import fields
from soundpost.server.connections.listening import listen_again, listening_sockets, port_of
from soundpost.server.connections.open_files import places_for_websockets
from soundpost.server.dashboard.dashboard import check_dashboard, kept_dashboard
from soundpost.server.figures.collecting import host_figures
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.figures.loop_lag import LoopLag
from soundpost.server.figures.process_figures import with_process
from soundpost.server.inspection.own_inspector import own_inspector
from soundpost.server.processes.daemon import Restart, drain_time, sent_away
from soundpost.server.processes.logs import log_as_configured
from soundpost.server.processes.own_registry import own_registry
from soundpost.server.processes.own_webhooks import own_webhooks
from soundpost.server.processes.scaling import redis_backplane, webhook_dispatcher, webhook_figures
from soundpost.server.processes.status import Status, WorkerStatus
from soundpost.server.processes.worker_figures import FiguresOfWorkers, worker_figures
from soundpost.server.processes.worker_process import PING_INTERVAL, WorkerProcess, exit_reason
from soundpost.server.webhooks import WebhookDispatcher

log = logging.getLogger("soundpost.workers")

_LONG_ENOUGH: Final = 10  # seconds of life after which a death does not count as one in a row
_GRACE: Final = 3  # seconds beyond its own limits that a worker has to end
_LONGEST_WAIT: Final = 30  # seconds between two starts of a worker that dies again and again
_TIME_TO_START: Final = 30  # seconds until a new worker must listen, or the old one stays
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
        self._playground = playground
        self._debug = debug
        limit = _websockets(settings.server)
        sockets = listening_sockets(settings.server, count)
        self.backplane = redis_backplane(settings, max_connections=limit)
        self._webhooks = own_webhooks(settings) if self.backplane is None else None
        own = own_registry(settings, max_connections=limit, webhooks=self._webhooks)
        self._hub = Hub(own if self.backplane is None else self.backplane.registry)
        self._workers = [WorkerProcess(number, own) for number, own in enumerate(sockets, 1)]
        self.port = port_of(sockets[0])
        self.inspector = own_inspector(
            self.port, self._serving, self._hub.registry, self.backplane, lambda: self.webhooks
        )
        self._stopping = self._started = False
        self._in_transition: set[WorkerProcess] = set()
        """Workers that are about to take a place in a restart, or have lost theirs."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._figures = FiguresOfWorkers()
        self._lag_figures = Histogram()
        self._lag = LoopLag(self._lag_figures, asyncio.get_running_loop().call_later)

    async def start(self) -> int:
        """Start all workers; return how many sockets they may open. Raises StartError if one cannot start."""
        try:
            if self.backplane is not None:
                await self.backplane.start()
            for worker in self._workers:
                await self._spawn(worker, self.settings)
                self._keep_alive(worker)
            self._start_task(self._watch())
            self._lag.start()
            await asyncio.gather(*(asyncio.shield(worker.ready) for worker in self._workers))
        except OSError as error:
            await self.stop()
            raise StartError(f"cannot start the workers: {error}") from None
        except BaseException:
            await self.stop()
            raise
        self._started = True
        capacity = sum(worker.capacity for worker in self._workers)
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
    def time_to_restart(self) -> float:
        """Seconds a restart takes at most, for all workers one after the other."""
        one = _TIME_TO_START + self._limit(drain_time(self.settings, others_serve=True))
        return len(self._workers) * one

    async def stop(self, drain_time: float = 0, delay: float = 0) -> None:
        """Have the workers send all clients away after ``delay`` seconds, over ``drain_time`` seconds, and end.

        Workers that do not end in time are killed.
        """
        self._stopping = True
        if self._webhooks is not None:
            self._webhooks.hold_ends()
        for worker in self._in_transition:  # a new one is not needed any more, an old one may end faster
            worker.signal(signal.SIGTERM)
        all_workers = [*self._workers, *self._in_transition]
        for worker in all_workers:
            worker.close_sockets()
        limit = self._limit(drain_time + delay)
        await asyncio.gather(*(worker.retire(Retire(drain_time, delay), limit) for worker in all_workers))
        self._lag.stop()
        for task in self._tasks:
            task.cancel()
        if self.backplane is not None:
            await self.backplane.stop()
        if self._webhooks is not None:
            await self._webhooks.stop(self.settings.server.shutdown_timeout)

    def stop_now(self) -> None:
        """Have the workers send all clients away at once, in a stop that is under way."""
        for worker in (*self._workers, *self._in_transition):
            worker.signal(signal.SIGTERM)

    def status(self) -> Status:
        """Return the status for ``soundpost status``."""
        registry = self._hub.registry
        workers = [
            WorkerStatus(worker.number, worker.process.pid, registry.connections_of(worker.end))
            for worker in self._workers
            if worker.process is not None
        ]
        hosts = None if self.backplane is None else self.backplane.hosts
        return Status.of(
            self.settings,
            self.port,
            hosts,
            registry.load(),
            workers,
            draining=self._stopping,
            webhooks=webhook_figures(self._webhooks, self.backplane),
        )

    async def figures(self) -> HostFigures:
        """Return the figures of this host, of workers that do not answer those that they had last."""
        await self._figures.ask((*self._workers, *self._in_transition))
        apps = self.operators_node.figures.apps if "operators_node" in self.__dict__ else {}
        own = with_process(NodeFigures(apps=apps, lag=self._lag_figures, lag_max=self._lag.recent))
        own.max_open_files = own.open_files  # it has no clients: its room is none for theirs
        return host_figures(
            self._figures.total(own),
            [worker_figures(0, os.getpid(), own), *self._figures.lines(self._workers)],
            server=self.settings.server,
            port=self.port,
            draining=self._stopping,
            registry=self._hub.registry,
            backplane=self.backplane,
            webhooks=webhook_figures(self._webhooks, self.backplane),
        )

    def _serving(self) -> dict[str, Inspectable]:
        """Return the workers that have clients, by their names; the old one too in a restart."""
        serving: dict[str, Inspectable] = {}
        for worker in (*self._workers, *self._in_transition):
            if worker.runs and worker.capacity:
                name = f"worker {worker.number}"
                serving[name if name not in serving else f"{name} (draining)"] = worker.end
        return serving

    # Restart and reload

    def begin_restart(self, settings: Settings) -> Restart:
        """Return the replacement of all workers, to be awaited. Raises StartError."""
        check_dashboard(settings.dashboard, settings.dashboard)
        message = f"restarting the workers one after the other{_not_restarted(self.settings, settings)}"
        return Restart(message, self._replace_all(settings))

    async def _replace_all(self, settings: Settings) -> None:
        """Replace the workers by new processes, with new code and settings, one after the other.

        A new worker listens on the sockets of the old one before that sends its clients away, so that no connection is
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
            for index in range(len(self._workers)):
                if not self._stopping:
                    await self._replace(index, settings)
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

    async def _replace(self, index: int, settings: Settings) -> None:
        old = self._workers[index]
        try:
            new = old.successor()
        except OSError as error:
            raise StartError(f"{old} cannot be replaced: {error}") from None
        with self._transition(new):
            await self._start_new(new, settings)
            if self._stopping:
                return
            self._workers[index] = new
        if self.settings is not settings:
            self.settings = settings
            self._reconfigure(settings.apps)
            log_as_configured(settings.server, debug=self._debug, process="parent")
        self._keep_alive(new)
        if old.sockets is not new.sockets:
            old.close_sockets()
        seconds = drain_time(settings, others_serve=True)
        began, clients = time.monotonic(), self._hub.registry.connections_of(old.end)
        with self._transition(old):
            await old.retire(Retire(seconds, 0), self._limit(seconds))
        took = time.monotonic() - began
        log.info(
            "%s has ended, %.2f s after it was told to: %s",
            old,
            took,
            sent_away(clients),
            extra=fields(worker=old.number, seconds=round(took, 3), connections=clients),
        )

    async def _start_new(self, new: WorkerProcess, settings: Settings) -> None:
        try:
            await self._spawn(new, settings)
            waiting = self._start_task(_ended(new))
            async with asyncio.timeout(_TIME_TO_START):
                await asyncio.shield(new.ready)
            waiting.cancel()
        except (OSError, StartError) as error:  # TimeoutError is an OSError
            new.signal(signal.SIGKILL)
            if self._stopping:
                return
            reason = str(error) or f"it did not listen within {_TIME_TO_START} s"
            raise StartError(f"worker {new.number} could not be replaced: {reason}. The old one goes on") from None

    @contextmanager
    def _transition(self, worker: WorkerProcess) -> Iterator[None]:
        self._in_transition.add(worker)
        try:
            yield
        finally:
            self._in_transition.discard(worker)

    def _limit(self, time_to_drain: float) -> float:
        return time_to_drain + self.settings.server.shutdown_timeout + _GRACE

    # One worker from start to end

    async def _spawn(self, worker: WorkerProcess, settings: Settings) -> None:
        configuration = Configuration(worker.number, settings, self._playground, self._debug)
        await worker.spawn(self._hub, configuration, self._receive)

    def _keep_alive(self, worker: WorkerProcess) -> None:
        self._start_task(self._restart_on_death(worker))

    def _start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _restart_on_death(self, worker: WorkerProcess) -> None:
        """Start a worker again whenever it dies."""
        while True:
            status = await worker.wait()
            self._figures.end(worker)
            if self._stopping or worker.retired or not self._started:
                return
            ended = f"could not start: {worker.fault}" if worker.fault else exit_reason(status)
            long_enough = time.monotonic() - worker.began >= _LONG_ENOUGH
            worker.deaths = 1 if long_enough else worker.deaths + 1
            wait = 0 if worker.deaths == 1 else min(2 ** (worker.deaths - 2), _LONGEST_WAIT)
            log.error(
                "%s %s: its clients are cut off and will reconnect; it is started again %s",
                worker,
                ended,
                f"in {wait} s, as this was death no. {worker.deaths} in a row" if wait else "at once",
            )
            worker.restarts += 1
            await self._start_again(worker, wait)
            if worker.retired:
                await worker.retire(Retire(0, 0), self._limit(0))
                return

    async def _start_again(self, worker: WorkerProcess, wait: int) -> None:
        while not worker.retired:
            try:
                await self._pause(worker, wait)
                if not worker.retired:  # another has taken its place
                    await self._spawn(worker, self.settings)
            except OSError as error:
                wait = min(max(1, 2 * wait), _LONGEST_WAIT)
                log.error("%s cannot be started: %s; next try in %d s", worker, error, wait)
            else:
                return

    async def _pause(self, worker: WorkerProcess, seconds: int) -> None:
        """Wait, with the worker's sockets closed: the others get its share of new connections. Raises OSError."""
        if not seconds:
            return
        own = worker.has_sockets_of_its_own
        if own:
            worker.close_sockets()
        await asyncio.sleep(seconds)
        if own and not worker.retired:
            worker.sockets = listen_again(worker.addresses)

    # Messages of the workers

    def _receive(self, worker: WorkerProcess, message: Message) -> None:
        if isinstance(message, Pong):
            worker.unanswered = 0
        elif isinstance(message, Ready):
            worker.end.has_observers = message.has_observers
            worker.capacity = message.capacity
            worker.ready.set_result(None)
            if self._started:
                seconds = time.monotonic() - worker.began
                log.info(
                    "%s serves now, %.2f s after its start",
                    worker,
                    seconds,
                    extra=fields(worker=worker.number, seconds=round(seconds, 3)),
                )
        elif isinstance(message, Figures):
            self._figures.take(worker, message.figures)
        elif isinstance(message, Failed):
            worker.fault = message.reason
        else:
            worker.end.handle(message)

    async def _watch(self) -> None:
        """Ping the workers, kill those that hang, and have the hub do its housekeeping."""
        while True:
            await asyncio.sleep(PING_INTERVAL)
            self._hub.housekeep()
            for worker in filter(lambda worker: worker.runs, self._workers):
                reason = worker.hang_reason()
                if reason:
                    log.error("%s hangs: %s; it is killed", worker, reason)
                    worker.signal(signal.SIGKILL)
                else:
                    worker.link.send(Ping())


async def _ended(worker: WorkerProcess) -> None:
    await worker.wait()


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

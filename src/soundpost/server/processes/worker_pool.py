"""The worker processes of a parent: started, watched, started again after a death, replaced by new ones, and ended."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from soundpost.backplane.hub import Hub
from soundpost.backplane.hub_framing import Message
from soundpost.backplane.hub_messages import Configuration, Ping, Retire
from soundpost.backplane.worker_messages import Failed, Figures, Pong, Ready
from soundpost.config.settings import Settings
from soundpost.core.inspection import Inspectable
from soundpost.errors import StartError
from soundpost.log_fields import fields
from soundpost.server.connections.listening import listen_again
from soundpost.server.processes.daemon import disconnected_in_words, drain_time
from soundpost.server.processes.worker_figures import FiguresOfWorkers
from soundpost.server.processes.worker_process import PING_INTERVAL, WorkerProcess, exit_reason

log = logging.getLogger("soundpost.workers")

_STABLE_AFTER: Final = 10  # seconds of life after which a death does not count as one in a row
_KILL_MARGIN: Final = 3  # seconds beyond its own limits that a worker has to end
_MAX_WAIT: Final = 30  # seconds between two starts of a worker that dies again and again
_TIME_TO_START: Final = 30  # seconds until a new worker must listen, or the old one stays


class WorkerPool:
    """The workers behind one port, each with a link to the hub.

    ``sockets`` are the listening sockets of each worker. ``settings`` returns the settings with which a worker is
    started, and started again after a death.
    """

    def __init__(
        self,
        hub: Hub,
        sockets: Sequence[list[socket.socket]],
        settings: Callable[[], Settings],
        *,
        playground: bool,
        debug: bool,
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._playground = playground
        self._debug = debug
        self.workers = [WorkerProcess(number, own) for number, own in enumerate(sockets, 1)]
        self._in_transition: set[WorkerProcess] = set()
        """Workers that are about to take a place in a restart, or have lost theirs."""
        self.figures = FiguresOfWorkers()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_started = False
        self.is_stopping = False

    @property
    def all(self) -> list[WorkerProcess]:
        """All workers; those too that are about to take a place in a restart, or have lost theirs."""
        return [*self.workers, *self._in_transition]

    async def start(self) -> None:
        """Start all workers. Raises OSError."""
        for worker in self.workers:
            await self._spawn(worker, self._settings())
            self._keep_alive(worker)
        self._start_task(self._watch())

    async def all_ready(self) -> int:
        """Wait until all workers listen; return how many sockets they may open. Raises StartError."""
        await asyncio.gather(*(asyncio.shield(worker.ready) for worker in self.workers))
        self._is_started = True
        return sum(worker.capacity for worker in self.workers)

    @property
    def time_to_restart(self) -> float:
        """Seconds that the replacement of all workers takes at most."""
        one = _TIME_TO_START + self._limit(drain_time(self._settings(), others_serve=True))
        return len(self.workers) * one

    async def stop(self, drain_time: float, delay: float) -> None:
        """Have the workers disconnect all clients after ``delay`` seconds, over ``drain_time`` seconds, and end.

        Workers that do not end in time are killed.
        """
        self.is_stopping = True
        for worker in self._in_transition:  # a new one is not needed any more, an old one may end faster
            worker.signal(signal.SIGTERM)
        all_workers = self.all
        for worker in all_workers:
            worker.close_sockets()
        limit = self._limit(drain_time + delay)
        await asyncio.gather(*(worker.retire(Retire(drain_time, delay), limit) for worker in all_workers))
        for task in self._tasks:
            task.cancel()

    def stop_now(self) -> None:
        """Have the workers disconnect all clients at once, in a stop that is under way."""
        for worker in self.all:
            worker.signal(signal.SIGTERM)

    def serving(self) -> dict[str, Inspectable]:
        """Return the workers that have clients, by their names; the old one too in a restart."""
        serving: dict[str, Inspectable] = {}
        for worker in self.all:
            if worker.runs and worker.capacity:
                name = f"worker {worker.number}"
                serving[name if name not in serving else f"{name} (draining)"] = worker.end
        return serving

    # Replacement

    async def replace(self, index: int, settings: Settings, then: Callable[[], None]) -> None:
        """Replace a worker by a new process with these settings; ``then`` is called once the new one listens.

        Raises StartError if the new worker cannot start: the old one goes on.
        """
        old = self.workers[index]
        try:
            new = old.successor()
        except OSError as error:
            raise StartError(f"{old} cannot be replaced: {error}") from None
        with self._transition(new):
            await self._start_new(new, settings)
            if self.is_stopping:
                return
            self.workers[index] = new
        then()
        self._keep_alive(new)
        if old.sockets is not new.sockets:
            old.close_sockets()
        seconds = drain_time(settings, others_serve=True)
        began, clients = time.monotonic(), self._hub.registry.connections_of(old.end)
        with self._transition(old):
            await old.retire(Retire(seconds, 0), self._limit(seconds))
        took = time.monotonic() - began
        log.info(
            "%s has ended, %.2f s after the command to stop: %s",
            old,
            took,
            disconnected_in_words(clients),
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
            if self.is_stopping:
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
        return time_to_drain + self._settings().server.shutdown_timeout + _KILL_MARGIN

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
            self.figures.end(worker)
            if self.is_stopping or worker.retired or not self._is_started:
                return
            ended = f"could not start: {worker.fault}" if worker.fault else exit_reason(status)
            long_enough = time.monotonic() - worker.began >= _STABLE_AFTER
            worker.deaths = 1 if long_enough else worker.deaths + 1
            wait = 0 if worker.deaths == 1 else min(2 ** (worker.deaths - 2), _MAX_WAIT)
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
                    await self._spawn(worker, self._settings())
            except OSError as error:
                wait = min(max(1, 2 * wait), _MAX_WAIT)
                log.error("%s cannot be started: %s; next try in %d s", worker, error, wait)
            else:
                return

    async def _pause(self, worker: WorkerProcess, seconds: int) -> None:
        """Wait some seconds with the worker's sockets closed: the others get the new connections. Raises OSError."""
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
            if self._is_started:
                seconds = time.monotonic() - worker.began
                log.info(
                    "%s serves now, %.2f s after its start",
                    worker,
                    seconds,
                    extra=fields(worker=worker.number, seconds=round(seconds, 3)),
                )
        elif isinstance(message, Figures):
            self.figures.take(worker, message.figures)
        elif isinstance(message, Failed):
            worker.fault = message.reason
        else:
            worker.end.handle(message)

    async def _watch(self) -> None:
        """Ping the workers, kill those that hang, and have the hub do its housekeeping."""
        while True:
            await asyncio.sleep(PING_INTERVAL)
            self._hub.housekeep()
            for worker in filter(lambda worker: worker.runs, self.workers):
                reason = worker.hang_reason()
                if reason:
                    log.error("%s hangs: %s; it is killed", worker, reason)
                    worker.signal(signal.SIGKILL)
                else:
                    worker.link.send(Ping())


async def _ended(worker: WorkerProcess) -> None:
    await worker.wait()

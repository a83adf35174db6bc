"""Several processes behind one port: the parent starts them, connects them, and starts anew what dies."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from typing import Final

from soundpost.backplane.hub import Hub, WorkerEnd
from soundpost.backplane.hub_link import HubLink
from soundpost.backplane.hub_messages import Configuration, Failed, Message, Ping, Pong, Ready
from soundpost.backplane.registry import Registry
from soundpost.config.settings import ServerSettings, Settings
from soundpost.errors import StartError
from soundpost.server.listening import listen_again, listening_sockets
from soundpost.server.open_files import places_for_websockets
from soundpost.server.scaling import redis_backplane

log = logging.getLogger("soundpost.workers")

_LONG_ENOUGH: Final = 10  # seconds of life after which a death is not taken for a part of a series
_GRACE: Final = 3  # seconds beyond shutdown_timeout that a worker has to end
_LONGEST_WAIT: Final = 30  # seconds between two starts of a worker that dies again and again
_PING_INTERVAL: Final = 5
_MAX_UNANSWERED: Final = 6  # pings in a row: a loop that stands still for so long serves nobody
_MAX_UNREAD: Final = 256 * 1024 * 1024  # bytes waiting for a worker that does not read


class _Worker:
    """One worker's place: the sockets it listens on, and the process that does so now."""

    def __init__(self, number: int, sockets: list[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self.places = [(sock.family, sock.getsockname()) for sock in sockets]
        self.process: asyncio.subprocess.Process | None = None
        self.link: HubLink
        self.end: WorkerEnd
        self.capacity = 0
        """Sockets the process may open; 0 until it listens."""
        self.fault = ""
        """Why it could not start, in its own words."""
        self.unanswered = 0
        self.deaths = 0  # in a row, each soon after its start
        self.began = 0.0

    def __str__(self) -> str:
        return f"worker {self.number}" + ("" if self.process is None else f" (process {self.process.pid})")

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.returncode is None

    def signal(self, number: int) -> None:
        """Send the process a signal, if it still runs."""
        if self.process is not None and self.runs:
            self.process.send_signal(number)

    def hangs(self) -> str:
        """Why the process is of no use any more, if so; one more ping will have gone unanswered when this is asked
        again."""
        if self.unanswered >= _MAX_UNANSWERED:
            return f"it has not answered for {self.unanswered * _PING_INTERVAL} s"
        if self.link.waiting > _MAX_UNREAD:
            return f"it has not read {self.link.waiting} bytes that wait for it"
        self.unanswered += 1
        return ""


class Workers:
    """The parent of the workers, and their hub."""

    def __init__(self, settings: Settings, count: int, *, playground: bool, debug: bool) -> None:
        self._settings = settings
        self._playground = playground
        self._debug = debug
        limit = _websockets(settings.server)
        self._backplane = redis_backplane(settings, max_connections=limit)
        if self._backplane is None:
            self._hub = Hub(Registry(settings.apps, max_connections=limit))
        else:
            self._hub = Hub(self._backplane.registry)
        sockets = listening_sockets(settings.server.host, settings.server.port, count)
        self._workers = [_Worker(number, own) for number, own in enumerate(sockets, 1)]
        self.port = int(sockets[0][0].getsockname()[1])
        self._stopping = False
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> int:
        """Start all workers; give how many sockets they may open. Raises StartError if one cannot start."""
        try:
            for worker in self._workers:
                await self._spawn(worker)
            self._keepers = [asyncio.ensure_future(self._keep(worker)) for worker in self._workers]
            self._keepers.append(asyncio.ensure_future(self._watch()))
            await self._started
        except OSError as error:
            await self.stop()
            raise StartError(f"cannot start the workers: {error}") from None
        except BaseException:
            await self.stop()
            raise
        if self._backplane is not None:
            self._backplane.start()
        capacity = sum(worker.capacity for worker in self._workers)
        return min(capacity, self._settings.server.max_connections or capacity)

    async def stop(self) -> None:
        """Have the workers close their connections and end; those that do not are killed."""
        self._stopping = True
        for worker in self._workers:
            for sock in worker.sockets:
                sock.close()
            worker.signal(signal.SIGTERM)
        running = [worker.process.wait() for worker in self._workers if worker.process is not None]
        try:
            await asyncio.wait_for(asyncio.gather(*running), self._settings.server.shutdown_timeout + _GRACE)
        except TimeoutError:
            for worker in self._workers:
                worker.signal(signal.SIGKILL)
        for keeper in self._keepers:
            keeper.cancel()
        if self._backplane is not None:
            await self._backplane.stop()

    # One worker's life

    async def _spawn(self, worker: _Worker) -> None:
        """Start a process in a worker's place. Raises OSError."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        files = [theirs.fileno(), *(sock.fileno() for sock in worker.sockets)]
        worker.capacity = worker.unanswered = 0
        worker.fault = ""
        worker.began = time.monotonic()
        worker.link = link = HubLink(lambda message: self._receive(worker, message), lambda: self._hub.remove(end))
        worker.end = end = self._hub.add(link.send)
        await loop.create_connection(lambda: link, sock=ours)
        try:
            worker.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "soundpost.server.worker",
                *map(str, files),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=files,
                start_new_session=True,  # Ctrl-C in a terminal is for the parent: it lets the workers end in order
            )
        except OSError:
            link.close()
            raise
        finally:
            theirs.close()
        link.send(Configuration(worker.number, self._settings, self._playground, self._debug))

    async def _keep(self, worker: _Worker) -> None:
        """Start a worker anew whenever it dies."""
        while True:
            assert worker.process is not None
            status = await worker.process.wait()
            worker.link.close()
            if self._stopping:
                return
            if not self._started.done():
                reason = worker.fault or f"{worker} {_how_it_ended(status)} before it listened"
                self._started.set_exception(StartError(reason))
            if self._started.exception() is not None:
                return
            ended = f"could not start: {worker.fault}" if worker.fault else _how_it_ended(status)
            long_enough = time.monotonic() - worker.began >= _LONG_ENOUGH
            worker.deaths = 1 if long_enough else worker.deaths + 1
            wait = 0 if worker.deaths == 1 else min(2 ** (worker.deaths - 2), _LONGEST_WAIT)
            log.error(
                "%s %s: its clients are cut off and will reconnect; it is started again %s",
                worker,
                ended,
                f"in {wait} s, as this was death no. {worker.deaths} in a row" if wait else "at once",
            )
            await self._start_again(worker, wait)

    async def _start_again(self, worker: _Worker, wait: int) -> None:
        while True:
            try:
                await self._pause(worker, wait)
                await self._spawn(worker)
            except OSError as error:
                wait = min(max(1, 2 * wait), _LONGEST_WAIT)
                log.error("%s cannot be started: %s; next try in %d s", worker, error, wait)
            else:
                return

    async def _pause(self, worker: _Worker, seconds: int) -> None:
        """Wait, with the worker's sockets closed: the others get its share of new connections. Raises OSError."""
        if seconds:
            for sock in worker.sockets:
                sock.close()
            await asyncio.sleep(seconds)
            worker.sockets = listen_again(worker.places)

    # What the workers say

    def _receive(self, worker: _Worker, message: Message) -> None:
        if isinstance(message, Pong):
            worker.unanswered = 0
        elif isinstance(message, Ready):
            worker.end.watches = message.watches
            worker.capacity = message.capacity
            if self._started.done():
                log.warning("%s serves now", worker)
            elif all(each.capacity for each in self._workers):
                self._started.set_result(None)
        elif isinstance(message, Failed):
            worker.fault = message.reason
        else:
            worker.end.handle(message)

    async def _watch(self) -> None:
        """Look after the workers, and do what the registry need not do at once."""
        while True:
            await asyncio.sleep(_PING_INTERVAL)
            self._hub.every_few_seconds()
            for worker in filter(lambda worker: worker.runs, self._workers):
                reason = worker.hangs()
                if reason:
                    log.error("%s hangs: %s; it is killed", worker, reason)
                    worker.signal(signal.SIGKILL)
                else:
                    worker.link.send(Ping())


def _websockets(settings: ServerSettings) -> int | None:
    """How many WebSockets all workers together may have open, where that is configured."""
    return None if settings.max_connections is None else places_for_websockets(settings.max_connections)


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status} (the lines it wrote before this have the reason)"
    name = signal.Signals(-status).name
    hint = " (by hand, or by the kernel for want of memory: see dmesg)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"

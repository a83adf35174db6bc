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
from soundpost.config.settings import Settings
from soundpost.errors import StartError
from soundpost.server.listening import listen_again, listening_sockets

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
        self.ready: asyncio.Future[int]
        """The capacity of the process, once it listens."""
        self.process: asyncio.subprocess.Process | None = None
        self.link: HubLink
        self.end: WorkerEnd
        self.unanswered = 0
        self.deaths = 0  # in a row, each soon after its start
        self.began = 0.0

    def __str__(self) -> str:
        return f"worker {self.number}" + ("" if self.process is None else f" (process {self.process.pid})")

    def signal(self, number: int) -> None:
        """Send the process a signal, if it still runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


class Workers:
    """The parent of the workers, and their hub."""

    def __init__(self, settings: Settings, count: int, *, playground: bool, debug: bool) -> None:
        self._settings = settings
        self._playground = playground
        self._debug = debug
        self._hub = Hub(Registry(settings.apps))
        sockets = listening_sockets(settings.server.host, settings.server.port, count)
        self._workers = [_Worker(number, own) for number, own in enumerate(sockets, 1)]
        self.port = int(sockets[0][0].getsockname()[1])
        self._stopping = False
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> int:
        """Start all workers; give how many sockets they may open. Raises StartError if one cannot start."""
        for worker in self._workers:
            await self._spawn(worker)
        self._keepers = [asyncio.ensure_future(self._keep(worker)) for worker in self._workers]
        self._keepers.append(asyncio.ensure_future(self._watch()))
        try:
            return sum(await asyncio.gather(*(worker.ready for worker in self._workers)))
        except StartError:
            await self.stop()
            raise

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

    # One worker's life

    async def _spawn(self, worker: _Worker) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        files = [theirs.fileno(), *(sock.fileno() for sock in worker.sockets)]
        worker.ready = loop.create_future()
        worker.unanswered = 0
        worker.began = time.monotonic()
        worker.link = link = HubLink(lambda message: self._receive(worker, message), lambda: self._hub.remove(end))
        worker.end = end = self._hub.add(link.send)
        await loop.create_connection(lambda: link, sock=ours)
        worker.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "soundpost.server.worker",
            *map(str, files),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=files,
            start_new_session=True,  # Ctrl-C in a terminal is for the parent: it lets the workers end in order
        )
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
            if not worker.ready.done():
                worker.ready.set_exception(StartError(f"{worker} {_how_it_ended(status)} before it listened"))
            long_enough = time.monotonic() - worker.began >= _LONG_ENOUGH
            worker.deaths = 1 if long_enough else worker.deaths + 1
            wait = 0 if worker.deaths == 1 else min(2 ** (worker.deaths - 2), _LONGEST_WAIT)
            log.error(
                "%s %s: its clients are cut off and will reconnect; it is started again %s",
                worker,
                _how_it_ended(status),
                f"in {wait} s, as this was death no. {worker.deaths} in a row" if wait else "at once",
            )
            await self._wait(worker, wait)
            await self._spawn(worker)

    async def _wait(self, worker: _Worker, seconds: int) -> None:
        """Wait, with the worker's sockets closed: the others get its share of new connections."""
        if seconds:
            places = [(sock.family, sock.getsockname()) for sock in worker.sockets]
            for sock in worker.sockets:
                sock.close()
            await asyncio.sleep(seconds)
            worker.sockets = listen_again(places)

    # What the workers say

    def _receive(self, worker: _Worker, message: Message) -> None:
        if isinstance(message, Pong):
            worker.unanswered = 0
        elif isinstance(message, Ready):
            worker.end.watches = message.watches
            worker.ready.set_result(message.capacity)
        elif isinstance(message, Failed):
            worker.ready.set_exception(StartError(message.reason))
        else:
            worker.end.handle(message)

    async def _watch(self) -> None:
        """Look after the workers, and do what the registry need not do at once."""
        while True:
            await asyncio.sleep(_PING_INTERVAL)
            self._hub.registry.every_few_seconds()
            for worker in self._workers:
                if not worker.ready.done():
                    continue
                if worker.unanswered >= _MAX_UNANSWERED or worker.link.waiting > _MAX_UNREAD:
                    log.error("%s hangs: it has not answered for %d s; it is killed", worker, worker.unanswered * 5)
                    worker.signal(signal.SIGKILL)
                worker.unanswered += 1
                worker.link.send(Ping())


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status} (the lines it wrote before this have the reason)"
    name = signal.Signals(-status).name
    hint = " (by hand, or by the kernel for want of memory: see dmesg)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"

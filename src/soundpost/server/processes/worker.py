"""The program of a worker process: ``python -m soundpost.server.processes.worker VERSION LINK SOCKET…``.

The parent (:mod:`soundpost.server.processes.workers`) starts it. Arguments are the version of the hub's protocol, the
descriptor of the stream to the hub, and the descriptors of listening sockets. The hub's first message is the
configuration; when the stream ends, the worker ends too.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys

import uvloop

from soundpost.backplane.hub_framing import Message
from soundpost.backplane.hub_link import HubLink
from soundpost.backplane.hub_messages import Configuration, GetFigures, Reconfigure, Retire
from soundpost.backplane.hub_peers import HubPeers
from soundpost.backplane.hub_protocol import HUB_PROTOCOL
from soundpost.backplane.worker_messages import Failed, Figures, Ready
from soundpost.core.app_settings import AppSettings
from soundpost.core.observer import Observer
from soundpost.errors import StartError
from soundpost.server.processes.debug import MessageStream
from soundpost.server.processes.logs import log_as_configured, log_as_parent
from soundpost.server.server import Server

log = logging.getLogger("soundpost.workers")


class Worker:
    """A worker, which serves until the hub stops it or is gone."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._stop = asyncio.Event()
        self._retire = Retire(0, 0)
        self._server: Server | None = None
        self._apps: list[AppSettings] | None = None  # replace those of the configuration after a reload
        self._configuration: asyncio.Future[Configuration] = asyncio.get_running_loop().create_future()
        self._link = HubLink(self._receive, self._stop_now)
        self._peers = HubPeers(self._link.send, self._link.flush)

    async def run(self, stream: socket.socket) -> None:
        """Serve until the end. ``stream`` leads to the hub."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop_now)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # the parent's affair
        await loop.create_connection(lambda: self._link, sock=stream)
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((self._configuration, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not self._stop.is_set():
            await self._serve(self._configuration.result())

    async def _serve(self, configuration: Configuration) -> None:
        settings, process = configuration.settings, f"worker {configuration.number}"
        log_as_configured(settings.server, debug=configuration.debug, process=process)
        observers: list[Observer] = [MessageStream()] if configuration.debug else []
        server = Server(settings, playground=configuration.playground, observers=observers, peers=self._peers)
        try:
            await server.start(self._sockets)
        except StartError as error:
            self._link.send(Failed(str(error)))
            self._link.flush()
            return
        self._server = server
        if self._apps is not None:
            server.node.reconfigure(self._apps)
        self._link.send(Ready(server.limits.capacity, bool(observers)))
        await self._stop.wait()
        await server.stop(self._retire.drain_time, self._retire.delay)
        self._send_figures()
        self._link.flush()

    def _stop_now(self) -> None:
        self._retire = Retire(0, 0)
        self._stop.set()
        if self._server is not None:
            self._server.stop_now()

    def _reconfigure(self, apps: list[AppSettings]) -> None:
        self._apps = apps
        if self._server is not None:
            self._server.node.reconfigure(apps)
            self._server.reload_certificate()

    def _send_figures(self) -> None:
        if self._server is not None:
            self._link.send(Figures(self._server.figures()))

    def _receive(self, message: Message) -> None:
        if isinstance(message, Configuration):
            self._configuration.set_result(message)
        elif isinstance(message, Reconfigure):
            self._reconfigure(message.apps)
        elif isinstance(message, Retire):
            self._retire = message
            self._stop.set()
        elif isinstance(message, GetFigures):
            self._send_figures()
        else:
            self._peers.handle(message)


def main() -> None:
    """Run a worker with the descriptors on the command line."""
    log_as_parent("worker")
    if int(sys.argv[1]) != HUB_PROTOCOL:
        log.critical("this worker has another version of the code than the server: stop the server and start it again")
        sys.exit(1)
    stream, *sockets = [socket.socket(fileno=int(number)) for number in sys.argv[2:]]

    async def run() -> None:
        await Worker(sockets).run(stream)

    uvloop.run(run())


if __name__ == "__main__":
    main()

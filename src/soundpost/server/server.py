"""The daemon: one listener, one node, one timer wheel; how it starts and stops."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
import time
from collections.abc import Iterable

from soundpost.backplane import Registry, SingleNode
from soundpost.config.settings import ServerSettings, Settings, TlsSettings
from soundpost.core.connection import Connection
from soundpost.core.node import Node
from soundpost.core.observer import Observer
from soundpost.core.peers import Peers
from soundpost.errors import StartError
from soundpost.playground.routes import Playground
from soundpost.server.delivery import deliver
from soundpost.server.http_connection import HttpConnection
from soundpost.server.listening import BACKLOG, listening_sockets
from soundpost.server.open_files import places_for_websockets, raise_open_files_limit
from soundpost.server.router import Router
from soundpost.server.timer_wheel import TimerWheel
from soundpost.wire import codes
from soundpost.wire.compression import Deflater

log = logging.getLogger("soundpost.server")

_RESERVED_FILES = 64  # descriptors that are not clients' sockets
_LATE = 5  # seconds behind which the process must have been stopped, or its machine
_HOUSEKEEPING = 5  # seconds between rounds of Node.every_few_seconds


class Server:
    """One process that serves WebSockets and the API on one port."""

    def __init__(
        self,
        settings: Settings,
        *,
        playground: bool = False,
        observers: Iterable[Observer] = (),
        peers: Peers | None = None,
    ) -> None:
        self.settings: ServerSettings = settings.server
        self.prefix = normal_prefix(settings.server.path)
        self.loop = asyncio.get_running_loop()
        self.wheel = TimerWheel()
        self.node = Node(
            settings.apps,
            peers=peers or SingleNode(Registry(settings.apps)),
            call_soon=self.loop.call_soon,
            deliver=deliver,
            compress=Deflater(self.settings.compression_threshold).frame if self.settings.compression else None,
            observers=observers,
        )
        page = Playground(settings.apps[0], self.prefix, self.node) if playground else None
        self.router = Router(self.node, self.prefix, page)
        self.open_sockets = 0
        self.open_websockets = 0
        self.overflows = 0
        """How many slow clients were closed with 4100."""
        self.stopping = False
        """Whoever comes now is sent away."""
        self.stopped = False
        """Nothing is answered any more: what would be published now could not reach anybody."""
        self.capacity = self._capacity(raise_open_files_limit())
        self._listeners: list[asyncio.Server] = []
        self._clock: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        """No further client can be served."""
        return self.open_sockets > self.capacity

    @property
    def full_for_websockets(self) -> bool:
        """No further WebSocket can be served."""
        return self.open_websockets >= places_for_websockets(self.capacity)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listeners[0].sockets[0].getsockname()[1])

    async def start(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, on ``sockets`` that are bound already or as configured. Raises StartError with what is in the way."""
        settings = self.settings
        context = tls_context(settings.tls)
        if sockets is None:
            (sockets,) = listening_sockets(settings.host, settings.port)
        for sock in sockets:
            listener = await self.loop.create_server(
                lambda: HttpConnection(self),
                sock=sock,
                backlog=BACKLOG,
                ssl=context,
                ssl_handshake_timeout=None if context is None else settings.request_timeout,
            )
            self._listeners.append(listener)
        self._clock = self.loop.call_later(1, self._tick, self.loop.time() + 1)
        # What exists now stays: it need not be looked at again. Connections are freed by reference counts, cycles
        # are rare, so full collections, which stop the loop, are too.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    async def stop(self) -> None:
        """Stop listening, close every connection with 4200 (pusher-js reconnects at once), wait for them to go."""
        self.stopping = True
        for listener in self._listeners:
            listener.close()
        self.node.outbox.flush()
        for state in self.node.by_id.values():
            for connection in list(state.connections.values()):
                self.send_away(connection)
        deadline = time.monotonic() + self.settings.shutdown_timeout
        while self.open_websockets and time.monotonic() < deadline:  # noqa: ASYNC110 - only at the very end
            await asyncio.sleep(0.02)
        self.stopped = True
        if self._clock is not None:
            self._clock.cancel()

    def send_away(self, connection: Connection) -> None:
        """Have a client connect to a server that goes on."""
        connection.close(codes.GENERIC_RECONNECT, "Server is going down: reconnect")

    def lost(self, connection: Connection) -> None:
        """A WebSocket's socket is gone."""
        self.open_sockets -= 1
        self.open_websockets -= 1

    def overflowed(self, connection: Connection) -> None:
        """A slow client is closed."""
        self.overflows += 1
        log.warning(
            "closed socket %s of app %s with 4100: it read too slowly, more than max_output_buffer (%d bytes) waited",
            connection.socket_id,
            connection.app.app.id,
            connection.app.app.max_output_buffer,
        )

    def _tick(self, due: float) -> None:
        """Once a second; late ticks are made up for, so that the wheel keeps the time.

        But not those of a process that was stopped: what clients sent meanwhile is still to be read, and they would
        all be pinged and given up in one go.
        """
        now = self.loop.time()
        if now - due > _LATE:
            due = now
        while due <= now:
            due += 1
            self.wheel.tick()
            if self.wheel.now % _HOUSEKEEPING == 0:
                self.node.every_few_seconds()
        self._clock = self.loop.call_at(due, self._tick, due)

    def _capacity(self, open_files: int) -> int:
        possible = max(1, open_files - _RESERVED_FILES)
        wanted = self.settings.max_connections
        if wanted is not None and wanted > possible:
            log.warning(
                "max_connections is %d, but only %d files may be open: at most %d connections will be accepted. "
                "Raise the limit (ulimit -n, LimitNOFILE, minfds).",
                wanted,
                open_files,
                possible,
            )
        return min(wanted or possible, possible)


def normal_prefix(path: str) -> str:
    """A path prefix with one slash in front and none behind; empty for none."""
    path = path.strip("/")
    return f"/{path}" if path else ""


def tls_context(tls: TlsSettings) -> ssl.SSLContext | None:
    """What direct TLS needs; None without a certificate. Raises StartError for files that cannot be used."""
    if tls.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key, (lambda: tls.passphrase or ""))
    except (OSError, ssl.SSLError) as error:
        files = tls.certificate if tls.key is None else f"{tls.certificate} with key {tls.key}"
        raise StartError(
            f"cannot use the certificate {files}: {error}. "
            "Both must be PEM files this user can read, and belong together."
        ) from None
    return context

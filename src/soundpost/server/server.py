"""The server of one process: WebSockets and the HTTP API on one port, from start to stop."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache, partial
from typing import ClassVar

from soundpost import __version__, documentation
from soundpost.compilation import mypyc_attr
from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.connection import Connection
from soundpost.core.figures import NodeFigures
from soundpost.core.observer import Observer
from soundpost.core.peers import Peers
from soundpost.errors import ProxyHeaderError
from soundpost.server.access_log import AccessLog
from soundpost.server.api.router import Router
from soundpost.server.connections.delivery import deliver
from soundpost.server.connections.fair_queue import FairQueue
from soundpost.server.connections.http_connection import HttpConnection
from soundpost.server.connections.lingering import Lingering
from soundpost.server.connections.listening import BACKLOG, listening_sockets, port_of
from soundpost.server.connections.logged_connection import LoggedConnection, LoggedProxiedConnection
from soundpost.server.connections.peer import peer_address
from soundpost.server.connections.proxied_connection import ProxiedConnection
from soundpost.server.connections.socket_limits import SocketLimits
from soundpost.server.connections.socket_listener import SocketListener
from soundpost.server.connections.socket_poller import LoopReader, SocketPoller, has_epoll
from soundpost.server.connections.socket_transport import SocketTransport
from soundpost.server.connections.tls import Certificate
from soundpost.server.connections.tls_connection import TlsConnection
from soundpost.server.connections.wrong_protocol import WrongProtocol
from soundpost.server.figures.loop_lag import LoopLag
from soundpost.server.figures.process_figures import node_figures
from soundpost.server.garbage_collection import spare_the_loop
from soundpost.server.playground.routes import Playground, refuse_without_playground
from soundpost.server.runtime import Runtime
from soundpost.wire.client_address import HEADERS, TrustedProxies, subnet_of
from soundpost.wire.compression import Deflater

log = logging.getLogger("soundpost.server")

_DRAIN_STEP = 0.1  # seconds between two groups of clients that are disconnected
_CLOSED_AT_ONCE = 200  # clients that are disconnected in one loop turn: some 2 ms


@mypyc_attr(allow_interpreted_subclasses=True)
class Server(Runtime):
    """One process that serves WebSockets and the API on one port."""

    # A later loop belongs to a process that was suspended. Input that clients sent meanwhile is still to be read: with
    # all ticks made up for, clients would be pinged and given up at once.
    max_catch_up: ClassVar[float] = 5

    def __init__(
        self,
        settings: Settings,
        *,
        playground: bool = False,
        observers: Iterable[Observer] = (),
        peers: Peers | None = None,
    ) -> None:
        own = settings.server
        super().__init__(
            settings.apps,
            deliver=deliver,
            close_timeout=own.close_timeout,
            peers=peers,
            compress=Deflater(own.compression_threshold).frame if own.compression else None,
            observers=observers,
        )
        self.settings: ServerSettings = own
        self.request_timeout = own.request_timeout
        self.max_head_size = own.max_head_size
        self.max_request_size = own.max_request_size
        self.prefix = normal_prefix(own.path)
        self.fair_queue = FairQueue(self.loop.call_soon)
        self._has_epoll = has_epoll()
        """True if the server has transports of its own; False where the loop's transports read all sockets."""
        if self._has_epoll:
            self.poller = SocketPoller(self.loop)
            """Poller of the WebSockets."""
            self._newcomers = SocketPoller(self.loop)
            self.loop_reader = LoopReader(self.loop, self.poller)
            """Reader of the first WebSockets that send client events, and of applications."""
        self.lingering = Lingering()
        self.lag = LoopLag(self.node.figures.lag, self.loop.call_later)
        page = Playground(settings.apps[0], self.prefix, self.node, own.hostname) if playground else None
        self.router = Router(
            self.node,
            self.prefix,
            self.log_throttle,
            mounts={"/playground": refuse_without_playground if page is None else page.respond},
            introduction=_introduction(self.prefix, playground=playground),
            is_ready=lambda: not self.draining,
        )
        self.logs_debug = _logs_debug()
        """True if the log takes messages of the level ``debug``: asked once a second, not for each connection."""
        self.port = 0
        """The port that the server listens on; 0 for a Unix socket."""
        self.wrong_protocol: WrongProtocol
        self.http_connections: set[HttpConnection] = set()
        self.draining = False
        """True once the server is about to stop: ``/up/ready`` tells load balancers."""
        self._stop_now = asyncio.Event()
        self.stopped = False
        """True once no request is answered any more: a publish could reach no client."""
        self.trusted_proxies = TrustedProxies(self.settings.trusted_proxies)
        self.limits = SocketLimits(self.settings.max_connections, self.trusted_proxies, self.log_throttle)
        self.sockets = self.limits.sockets
        self.client_ip_headers = _client_ip_headers(self.settings.client_ip_header)
        self.access_log = AccessLog(self.node, self.prefix, self.loop.call_later) if own.access_log else None
        self._counted_address = lru_cache(1024)(self._address_or_network)
        self._certificate: Certificate | None = None
        self._listeners: list[asyncio.Server | SocketListener] = []

    @property
    def open_sockets(self) -> int:
        """The number of open sockets of clients, of all kinds."""
        return self.sockets.count

    @property
    def full_for_websockets(self) -> bool:
        """True if no further WebSocket can be served."""
        return self.open_websockets >= self.limits.places_for_websockets

    async def start(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on ``sockets``, bound already, or as configured. Raises StartError with the obstacle."""
        settings = self.settings
        if settings.tls.certificate is not None:
            self._certificate = Certificate(settings.tls, self._explain_tls, expects_header=settings.proxy_protocol)
        kind = self._connection_class()
        # Measured: a new connection by way of `partial` takes twice as long.
        make: Callable[[], asyncio.Protocol] = self._connect if kind is HttpConnection else partial(kind, self)
        if self._certificate is not None:
            make = partial(TlsConnection, self, self._certificate, kind)
        if sockets is None:
            (sockets,) = listening_sockets(settings)
        self.port = port_of(sockets)
        place = f"port {self.port}" if self.port else f"socket {settings.unix_socket}"
        self.wrong_protocol = WrongProtocol(self.log_throttle, place, has_tls=self._certificate is not None)
        for sock in sockets:
            self._listeners.append(await self._listener(sock, make))
        self.start_clock()
        self.lag.start()
        spare_the_loop()

    async def _listener(
        self, sock: socket.socket, make: Callable[[], asyncio.Protocol]
    ) -> asyncio.Server | SocketListener:
        if not self._has_epoll or self._certificate is not None:
            # Not create_unix_server: from Python 3.13 on that removes the file that a successor listens at.
            return await self.loop.create_server(make, sock=sock, backlog=BACKLOG)
        sock.listen(BACKLOG)
        return SocketListener(self.loop, sock, make, self._newcomers, self.fair_queue, self.sockets)

    async def stop(self, drain_time: float = 0, delay: float = 0) -> None:
        """Stop listening, send all clients away, answer the requests that are under way, wait for clients to go.

        For ``delay`` seconds only ``/up/ready`` changes its answer. Then clients are closed with 4200, upon which
        pusher-js reconnects at once, spread over ``drain_time`` seconds; until their turn they are served as before.
        The wait ends after ``shutdown_timeout`` seconds; :meth:`stop_now` cuts delay and drain short.
        """
        self.draining = True
        await self._pause(delay)
        self.stopping = True
        for listener in self._listeners:
            listener.close()
        await self._drain(drain_time)
        deadline = time.monotonic() + self.settings.shutdown_timeout
        while self._has_clients() and time.monotonic() < deadline:  # noqa: ASYNC110 - at the end
            await asyncio.sleep(0.02)
        self.stopped = True
        self.stop_clock()
        if self.access_log is not None:
            self.access_log.write()
        self.lag.stop()
        if self._has_epoll:  # not the other one: who still asks is to hear that nobody answers
            self.poller.close()

    def _connection_class(self) -> type[HttpConnection]:
        if self.access_log is not None:
            return LoggedProxiedConnection if self.settings.proxy_protocol else LoggedConnection
        return ProxiedConnection if self.settings.proxy_protocol else HttpConnection

    def _connect(self) -> HttpConnection:
        return HttpConnection(self)

    def stop_now(self) -> None:
        """Send all clients away at once, in a stop that is under way."""
        self._stop_now.set()

    async def _drain(self, seconds: float) -> None:
        """Send all clients away, some at a time, in the order in which they came."""
        clients = [connection for app in self.node.by_id.values() for connection in app.connections.values()]
        steps, sent = max(1, round(seconds / _DRAIN_STEP)), 0
        for step in range(1, steps + 1):
            upto = math.ceil(len(clients) * step / steps)
            for start in range(sent, upto, _CLOSED_AT_ONCE):
                await self._all_sent()
                self.node.outbox.flush()  # events of this turn, which clients that close would miss
                for connection in clients[start : min(upto, start + _CLOSED_AT_ONCE)]:
                    self.close_for_reconnect(connection)
                await asyncio.sleep(0)
            sent = upto
            if sent == len(clients) or not self.open_websockets:
                break
            await self._pause(_DRAIN_STEP)
        self.close_all_for_reconnect()  # clients whose upgrade was under way

    async def _all_sent(self) -> None:
        """Wait until clients have been sent all earlier events."""
        sent = asyncio.Event()
        self.node.outbox.after_flush(sent.set)
        await sent.wait()

    def _has_clients(self) -> bool:
        """Close idle HTTP connections; return whether clients are still to go."""
        return bool(self.open_websockets or self.leave_queue) or self._close_idle_connections()

    def _close_idle_connections(self) -> bool:
        """Close idle connections; return whether requests are still under way."""
        for connection in list(self.http_connections):
            connection.close_if_idle()
        return any(connection.is_busy for connection in self.http_connections)

    async def _pause(self, seconds: float) -> None:
        """Wait some seconds, until :meth:`stop_now` at the latest."""
        if seconds and not self._stop_now.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stop_now.wait()

    def reload_certificate(self) -> None:
        """Read the certificate again if its files have changed; else the clock does so within seconds."""
        if self._certificate is not None:
            self._certificate.reload()

    def _explain_tls(self, fault: ProxyHeaderError | None, data: bytes) -> bytes:
        return self.wrong_protocol.explain_missing_tls(fault, data).response().encode(keep_alive=False)

    def counted_address(self, transport: asyncio.BaseTransport | SocketTransport) -> str:
        """Return the address under which a socket is counted: a client's network, or a proxy's own address."""
        return self._counted_address(peer_address(transport))

    def figures(self) -> NodeFigures:
        """Return the figures of this process, up to date: the object that goes on counting, not a copy."""
        return node_figures(self.node, sockets=self.sockets.count, lag_max=self.lag.recent)

    def websocket_lost(self, connection: Connection) -> None:
        """Stop counting a WebSocket whose socket is gone."""
        self.sockets.count -= 1
        self.open_websockets -= 1

    def application_came(self, transport: object) -> None:
        """Read a connection in each loop turn from now on: an application publishes over it."""
        if isinstance(transport, SocketTransport):
            transport.read_by(self.loop_reader)

    def _max_connections_per_ip(self) -> int | None:
        """Return the largest limit of all apps; None if an app has none."""
        largest = 0
        for app in self.node.by_id.values():
            limit = app.settings.max_connections_per_ip
            if limit is None:
                return None
            largest = max(largest, limit)
        return largest or None

    def _address_or_network(self, address: str) -> str:
        return address if self.trusted_proxies.trusts(address) else subnet_of(address)

    def _after_tick(self) -> None:
        self.logs_debug = _logs_debug()
        self.limits.evict_silent(self._max_connections_per_ip())
        self.limits.check_descriptors()
        if self._certificate is not None:
            self._certificate.reload_if_changed()


def _logs_debug() -> bool:
    return log.isEnabledFor(logging.DEBUG)


def _client_ip_headers(setting: str) -> tuple[bytes, ...]:
    named = setting.lower().encode()
    return HEADERS if setting == "auto" else tuple(name for name in HEADERS if name == named)


def normal_prefix(path: str) -> str:
    """Return a path prefix with one slash in front and none behind; empty for none."""
    path = path.strip("/")
    return f"/{path}" if path else ""


def _introduction(prefix: str, *, playground: bool) -> str:
    """Return what runs at this address, for people who open it in a browser."""
    page = f" The playground is at {prefix}/playground." if playground else ""
    return (
        f"Soundpost {__version__} runs here: browsers connect to {prefix}/app/KEY, applications publish to "
        f"{prefix}/apps/ID/events.{page} See {documentation.page('http-api')}"
    )

"""Accepting of connections whose sockets have transports of the server's own."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from soundpost.server.connections.fair_queue import FairQueue
from soundpost.server.connections.open_sockets import OpenSockets
from soundpost.server.connections.socket_calls import accept_some
from soundpost.server.connections.socket_poller import SocketPoller, Watcher
from soundpost.server.connections.socket_transport import SocketTransport

log = logging.getLogger("soundpost.server")

_AT_ONCE: Final = 32
"""Largest number of connections that are accepted and not read yet, if there is ample room."""
_AMPLE: Final = 1_000
"""Free places beyond which so many are accepted at once. With fewer, one a turn: a crowd must not come faster than work
is done for those that could make room for it."""
_PAUSE: Final = 0.1
"""Seconds until the next try where no file can be opened; the connections wait in the kernel."""


class SocketListener:
    """A listening socket whose connections get the protocol that ``make`` makes, and are read by ``poller``."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        make: Callable[[], asyncio.Protocol],
        poller: SocketPoller,
        fair_queue: FairQueue,
        sockets: OpenSockets,
    ) -> None:
        """``sock`` must be listening; ``fair_queue`` has time for first requests; ``sockets`` count all open ones."""
        self._loop = loop
        self._socket = sock
        self._make = make
        self._poller = poller
        self._unwatched = Watcher(poller.lost)
        self._new: deque[SocketTransport] = deque()  # accepted, and not read yet
        self._fair_queue = fair_queue
        self._sockets = sockets
        self._family = int(sock.family)
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            # Linux hands the option on to accepted sockets: no call for each of them.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listen()

    def close(self) -> None:
        """Accept nothing more. Connections stay."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _listen(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        new = self._new
        if self._sockets.room < 1:
            self._poller.catch_up()  # a client that is gone already makes room
        most = (_AT_ONCE if self._sockets.room > _AMPLE else 1) - len(new)
        if most <= 0:
            return
        try:
            accepted = accept_some(self._socket.fileno(), most)
        except OSError:  # no file can be opened, or no memory is left: SocketLimits logs the reason
            self._pause()
            return
        if accepted and not new:
            self._fair_queue.call_first(self._read_new)
        for fd in accepted:
            protocol = self._make()
            transport = SocketTransport(self._unwatched, fd, self._family, protocol)
            new.append(transport)
            protocol.connection_made(cast("asyncio.Transport", transport))

    def _read_new(self) -> None:
        new, fair_queue = self._new, self._fair_queue
        while new and fair_queue.has_time():
            if not new.popleft().read_first(self._poller):
                log.error("connections are dropped: no more sockets can be watched (fs.epoll.max_user_watches)")
                self._pause()
                break
        if new:
            fair_queue.call_first(self._read_new)

    def _pause(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.call_later(_PAUSE, self._listen)

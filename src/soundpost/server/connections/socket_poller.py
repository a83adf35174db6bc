"""Reading the sockets of WebSockets, some of them in each loop turn.

The event loop reads every socket that has input before it does anything else. When 10,000 clients send at the same
moment, that alone takes 80 ms. So an epoll instance of the server's own watches these sockets, and the loop watches
the epoll instance.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import sys
from typing import Final, Protocol

log = logging.getLogger("soundpost.server")

AT_ONCE: Final = 64
"""Largest number of sockets that are read in a loop turn."""
_MOST_BYTES: Final = 65_536
"""Bytes that are read of a socket at a time."""


class PolledConnection(Protocol):
    """A connection whose socket is read here instead of by its transport."""

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""

    def input_ended(self) -> None:
        """Note that the client sends no more; the poller must forget the socket."""

    def abort(self) -> None:
        """Drop the connection; the poller must forget the socket."""


class SocketPoller:
    """The sockets that are read, by their descriptors. Linux only: elsewhere the transports read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connections: list[PolledConnection | None] = []
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._read)

    def watch(self, descriptor: int, connection: PolledConnection) -> None:
        """Read a socket from now on, unless that is done already."""
        connections = self._connections
        if descriptor >= len(connections):
            connections += [None] * (descriptor + 1 - len(connections))
        if connections[descriptor] is None and not self._epoll.closed:
            self._epoll.register(descriptor, select.EPOLLIN)
            connections[descriptor] = connection

    def watches(self, descriptor: int) -> bool:
        """Return whether a socket is read."""
        return 0 <= descriptor < len(self._connections) and self._connections[descriptor] is not None

    def forget(self, descriptor: int) -> None:
        """Read a socket no more; it must still be open."""
        if self._connections[descriptor] is not None:
            self._connections[descriptor] = None
            if not self._epoll.closed:
                self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Read nothing more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _read(self) -> None:
        connections = self._connections
        for descriptor, _ in self._epoll.poll(0, AT_ONCE):
            connection = connections[descriptor]
            if connection is None:  # another one's input has closed it in this turn
                continue
            try:
                data = os.read(descriptor, _MOST_BYTES)
            except BlockingIOError:
                continue
            except OSError:  # the connection was reset
                connection.abort()
                continue
            try:
                if data:
                    connection.data_received(data)
                else:
                    connection.input_ended()
            except Exception:
                log.exception("a connection is dropped: what it sent could not be handled")
                connection.abort()


def socket_poller(loop: asyncio.AbstractEventLoop) -> SocketPoller | None:
    """Return a poller; None where the system has no epoll."""
    return SocketPoller(loop) if sys.platform == "linux" else None

"""Listener: the sockets of an HTTP server for operators, and its connections."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from functools import partial
from typing import Final

from soundpost.errors import StartError
from soundpost.server.admin_http.connection import TIMEOUTS, AdminConnection, Timeouts
from soundpost.server.admin_http.messages import Handle
from soundpost.server.connections.listening import addresses_of, bound_sockets
from soundpost.server.connections.socket_activation import inherited_sockets, make_inheritable
from soundpost.wire.addresses import reachable_host

log = logging.getLogger("soundpost.server")

MAX_CONNECTIONS: Final = 200
"""Connections at a time; beyond them the oldest one without a request is closed."""
_BACKLOG: Final = 128
_TIME_TO_ANSWER: Final = 1.0
_POLL: Final = 0.02


class AdminListener:
    """HTTP server at one address. ``handle`` answers every request; see :class:`Routes`.

    ``name`` is that of the section with its address in the configuration. In a restart by ``exec`` the next listener of
    the same name takes the sockets over, if its address is the same.
    """

    def __init__(self, host: str, port: int, handle: Handle, *, name: str, timeouts: Timeouts = TIMEOUTS) -> None:
        """Bind the address, or raise StartError with the obstacle."""
        self.host = host
        self._name = name
        self._sockets = _taken_over(name, host, port) or _bound(host, port, f"[{name}]")
        self.port: int = self._sockets[0].getsockname()[1]
        """The port; a free one if 0 was asked for."""
        self._handle = handle
        self._timeouts = timeouts
        self._servers: list[asyncio.Server] = []
        self._connections: dict[AdminConnection, None] = {}

    @property
    def url(self) -> str:
        """Address of the server, on this machine if it listens at all addresses."""
        host = reachable_host(self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._connections)

    def hand_over(self) -> None:
        """Leave the sockets to the program that this process executes next. New clients wait meanwhile."""
        make_inheritable(self._sockets, self._name)

    async def start(self) -> None:
        """Accept connections in the running event loop."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            self._servers.append(
                await loop.create_server(
                    partial(
                        AdminConnection, self._handle, on_made=self._made, on_lost=self._lost, timeouts=self._timeouts
                    ),
                    sock=sock.dup(),
                    backlog=_BACKLOG,
                )
            )

    def _made(self, connection: AdminConnection) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            idle = (each for each in self._connections if each.is_idle)
            oldest = next(idle, next(iter(self._connections)))
            self._lost(oldest)  # now: many clients may come before its end is told
            oldest.abort()
        self._connections[connection] = None

    def _lost(self, connection: AdminConnection) -> None:
        self._connections.pop(connection, None)

    async def stop(self) -> None:
        """Listen no more, answer the requests that are under way within a second, and end all streams."""
        for server in self._servers:
            server.close()
        for sock in self._sockets:
            sock.close()
        for connection in list(self._connections):
            connection.end()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _TIME_TO_ANSWER
        while self._connections and loop.time() < deadline:  # noqa: ASYNC110 - at the end
            await asyncio.sleep(_POLL)
        for connection in list(self._connections):
            connection.abort()


def check_address(now: tuple[str, int] | None, then: tuple[str, int], *, name: str) -> None:
    """Raise StartError if the process after a restart could not bind its listener to the host and port ``then``.

    ``now`` are those of this process; None if it has no such listener.
    """
    if then == now:
        return
    host, port = then
    is_free_then = now is not None and port == now[1]  # this process holds the port
    for sock in _bound(host, 0 if is_free_then else port, f"[{name}]"):
        sock.close()


def _taken_over(name: str, host: str, port: int) -> list[socket.socket]:
    """Return the sockets of the process before the restart; an empty list if it had none for this address."""
    handed = inherited_sockets(name)
    try:
        wanted = {address[0] for *_, address in addresses_of(host, port)}
    except OSError:
        wanted = set()
    if handed and {sock.getsockname()[0] for sock in handed} == wanted and port in (0, handed[0].getsockname()[1]):
        return handed
    for sock in handed:
        sock.close()
    return []


def _bound(host: str, port: int, section: str) -> list[socket.socket]:
    try:
        return bound_sockets(host, port, backlog=_BACKLOG)
    except OSError as error:
        raise StartError(_fault(error, host, port, section)) from None


def _fault(error: OSError, host: str, port: int, section: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use by another process: stop that one, or choose another port in {section} "
            "(what holds it: ss -ltnp)"
        )
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {port}: use a port from 1024 up in {section}"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"host {host!r} in {section} is not an address of this machine: use 127.0.0.1 for this machine only"
    return f"cannot listen on {host}:{port}, as {section} says: {error.strerror or error}"

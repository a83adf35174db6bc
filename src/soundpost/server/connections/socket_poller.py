"""Reading of sockets, some of them in each loop turn.

The event loop reads every socket that has input before it does anything else. When 10,000 clients send at the same
moment, that alone takes 80 ms. So an epoll instance of the server's own watches the sockets, and the loop watches the
epoll instance.
"""

from __future__ import annotations

import asyncio
import logging
import select
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from soundpost.server.connections.socket_transport import SocketTransport

log = logging.getLogger("soundpost.server")

EPOLLIN: Final = 0x001
EPOLLOUT: Final = 0x004
EPOLLERR: Final = 0x008
EPOLLHUP: Final = 0x010
EPOLLET: Final = 0x80000000
"""Events of epoll, as Linux numbers them: Python's ``select`` has no names for them elsewhere."""
AT_ONCE: Final = 64
"""Largest number of sockets that are served in a loop turn."""
FEW: Final = 1_000
"""Sockets that the loop reads: all of them take some milliseconds of a turn. Further ones wait for one another."""
_MORE: Final = 1_024
"""Places for transports that are made at a time."""
LOST_AT_ONCE: Final = 128
"""Largest number of lost sockets that are closed in a loop turn: some 2.5 ms."""


class LostSockets:
    """Transports whose sockets are lost, in that order: some end in each loop turn.

    Closing a socket takes the kernel up to 10 µs, and thousands may be lost at one moment.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """``call_soon``: the loop's."""
        self._call_soon = call_soon
        self._waiting: deque[tuple[SocketTransport, Exception | None]] = deque()
        self._is_scheduled = False

    def add(self, transport: SocketTransport, error: Exception | None) -> None:
        """Have a transport end in a later turn; ``error`` is what broke the connection."""
        self._waiting.append((transport, error))
        if not self._is_scheduled:
            self._schedule()

    def end_some(self) -> None:
        """Have transports end, as many as may in a loop turn."""
        waiting = self._waiting
        for _ in range(min(len(waiting), LOST_AT_ONCE)):
            transport, error = waiting.popleft()
            try:
                transport.end(error)
            except Exception:
                log.exception("a connection could not be forgotten")
        if waiting and not self._is_scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._is_scheduled = True
        self._call_soon(self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        self.end_some()


class Watcher:
    """Base of objects that watch sockets, and have them read when input comes.

    The class itself watches nothing: new connections have it until they are read for the first time.
    """

    def __init__(self, lost: LostSockets) -> None:
        self.lost = lost
        """The sockets that are lost."""
        self.count = 0
        """Number of its sockets, with those whose reading is paused."""

    def add(self, fd: int, transport: SocketTransport, events: int) -> None:
        """Watch a socket for events, at least one. Raises OSError if the kernel watches no more sockets."""

    def change(self, fd: int, transport: SocketTransport, before: int, events: int) -> None:
        """Watch a socket for other events than ``before``; both have at least one."""

    def remove(self, fd: int) -> None:
        """Stop watching a socket, which must still be open."""

    def forget(self, fd: int) -> bool:
        """Watch a socket no more that is closed at once; return False if it may not be closed in this turn."""
        return True

    def gives_up(self, transport: SocketTransport) -> bool:
        """Give a broken socket to another one, and return True; False if it is served like others."""
        return False


class LoopReader(Watcher):
    """The sockets that the loop itself serves, all of them in each turn: those few that are used most.

    Measured: a publish costs 20 % less than with a :class:`SocketPoller`, whose every turn is a call of the system
    more. A socket takes 300 bytes more, and to take it costs a third of what a connect does.

    uvloop watches a socket no more once the other end has reset the connection, and tells nobody. So a poller watches
    for that, and serves the socket from then on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, poller: SocketPoller) -> None:
        """``poller`` gets the sockets of connections that are reset."""
        super().__init__(LostSockets(loop.call_soon))
        self.most = FEW
        """Number of sockets from which on no further WebSocket is taken; applications are."""
        self._loop = loop
        self._poller = poller

    def add(self, fd: int, transport: SocketTransport, events: int) -> None:
        """Serve a socket that is ready for events, at least one."""
        self._poller.add(fd, transport, EPOLLET)
        self._serve(fd, transport, events)

    @property
    def has_room(self) -> bool:
        """True while a further WebSocket may be taken."""
        return self.count < self.most

    def _serve(self, fd: int, transport: SocketTransport, events: int) -> None:
        if events & EPOLLIN:
            self._loop.add_reader(fd, transport.read)
        if events & EPOLLOUT:
            self._loop.add_writer(fd, transport.send_output)

    def change(self, fd: int, transport: SocketTransport, before: int, events: int) -> None:
        """Serve a socket for other events."""
        if before & ~events & EPOLLIN:
            self._loop.remove_reader(fd)
        if before & ~events & EPOLLOUT:
            self._loop.remove_writer(fd)
        self._serve(fd, transport, events & ~before)

    def remove(self, fd: int) -> None:
        """Serve a socket no more."""
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        self._poller.remove(fd)

    def forget(self, fd: int) -> bool:
        """Return False: all sockets may be read to their end in one turn, and closing a socket takes long."""
        return False

    def gives_up(self, transport: SocketTransport) -> bool:
        """Give a broken socket to the poller; return True."""
        transport.read_by(self._poller)
        return True


class SocketPoller(Watcher):
    """The sockets that are watched, by their descriptors. Linux only: elsewhere the loop's transports read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(LostSockets(loop.call_soon))
        self._loop = loop
        self._transports: list[SocketTransport | None] = []
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._serve)

    def add(self, fd: int, transport: SocketTransport, events: int) -> None:
        """Watch a socket for events, at least one; EPOLLET alone watches for nothing but its breaking.

        Raises OSError if the kernel watches no more sockets (fs.epoll.max_user_watches), or has no memory.
        """
        if not self._epoll.closed:
            self._epoll.register(fd, events)
        transports = self._transports
        if fd >= len(transports):
            transports += [None] * (fd + _MORE - len(transports))
        transports[fd] = transport

    def change(self, fd: int, transport: SocketTransport, before: int, events: int) -> None:
        """Watch a socket for other events than ``before``; both have at least one."""
        if not self._epoll.closed:
            self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Watch a socket no more; it must still be open."""
        self._transports[fd] = None
        if not self._epoll.closed:
            self._epoll.unregister(fd)

    def forget(self, fd: int) -> bool:
        """Watch a socket no more that is closed at once, and return True: closing it ends the kernel's watching."""
        self._transports[fd] = None
        return True

    def catch_up(self) -> None:
        """Serve sockets that are ready, and end those that are lost, before the loop would."""
        self._serve()
        self.lost.end_some()

    def gives_up(self, transport: SocketTransport) -> bool:
        """Return False: a broken socket is served like others, and its transport finds out."""
        return False

    def close(self) -> None:
        """Watch nothing more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _serve(self) -> None:
        transports = self._transports
        for fd, events in self._epoll.poll(0, AT_ONCE):
            transport = transports[fd]
            if transport is None:  # another one's input has closed it in this turn
                continue
            if events == EPOLLIN:  # by far the most often
                transport.read()
            else:
                transport.ready(events)


def has_epoll() -> bool:
    """Return True if the system has the epoll calls that a :class:`SocketPoller` needs."""
    return sys.platform == "linux"

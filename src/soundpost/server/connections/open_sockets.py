"""A limit of open sockets, and the eviction of idle clients.

Idle clients must not keep others out. If there is no room, a new connection takes the place of a socket that

1. has had its last answer and is not closed by its client,
2. has not finished a request yet: first of the newcomer's own address, if that has more of those than others have,
3. has finished requests, but none that is signed by an application.

WebSockets stay, and so do applications that have signed a request. If no socket can go, the newcomer is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Occupant(Protocol):
    """A connection that has a socket and is not a WebSocket yet."""

    def abort(self) -> None:
        """Drop the socket and all output that waits."""

    @property
    def peer(self) -> str:
        """The address of the connection's other end."""

    @property
    def counted_address(self) -> str:
        """The address under which the socket is counted, computed only when addresses matter."""

    @property
    def is_evictable(self) -> bool:
        """True if nothing under way would be lost with the socket."""


class OpenSockets:
    """All open sockets, at most ``capacity``. ``on_eviction`` is called with the address of each that has to go."""

    def __init__(self, capacity: int, on_eviction: Callable[[str], None]) -> None:
        self.capacity = capacity
        self.count = 0
        """The number of open sockets of all kinds."""
        self._on_eviction = on_eviction
        self._new: dict[Occupant, None] = {}  # no request finished yet, and the address not looked up yet
        self._silent: dict[Occupant, str] = {}  # no request finished yet, with the address; the oldest first
        self._by_address: dict[str, dict[Occupant, None]] = {}  # those of _silent
        self._asked: dict[Occupant, None] = {}  # requests finished, the oldest first
        self._answered: dict[Occupant, None] = {}
        self._going: set[Occupant] = set()  # evicted; connection_lost comes a moment later

    @property
    def room(self) -> int:
        """The number of further sockets that may be open."""
        return self.capacity - self.count

    def opened(self, occupant: Occupant) -> bool:
        """Count a new socket; return True if there is room for it."""
        self.count += 1
        self._new[occupant] = None
        return self.count - len(self._going) <= self.capacity or self._make_room(occupant)

    def asked(self, occupant: Occupant) -> None:
        """Note that a connection has finished its first request."""
        self.kept(occupant)
        self._asked[occupant] = None

    def answered(self, occupant: Occupant) -> None:
        """Note that a connection has had its last answer."""
        self.kept(occupant)
        self._answered[occupant] = None

    def kept(self, occupant: Occupant) -> None:
        """Protect a connection from eviction: it is a WebSocket, or has signed a request."""
        if occupant in self._new:
            del self._new[occupant]
            return
        address = self._silent.pop(occupant, None)
        if address is not None:
            others = self._by_address[address]
            del others[occupant]
            if not others:
                del self._by_address[address]
        else:
            self._asked.pop(occupant, None)
            self._answered.pop(occupant, None)

    def closed(self, occupant: Occupant) -> None:
        """Forget a connection whose socket is gone."""
        self.count -= 1
        self.kept(occupant)
        self._going.discard(occupant)

    def silent_beyond(self, limit: int, counts: Callable[[str], bool]) -> list[Occupant]:
        """Return the oldest sockets without a request of each address with more than ``limit`` of those.

        ``counts``: tells whether an address is a client's, not a proxy's.
        """
        self._look_up_addresses()
        return [
            occupant
            for address, occupants in self._by_address.items()
            if len(occupants) > limit and counts(address)
            for occupant in list(occupants)[: len(occupants) - limit]
            if occupant.is_evictable
        ]

    def evict(self, occupant: Occupant) -> None:
        """Drop a socket to make room."""
        self.kept(occupant)
        self._going.add(occupant)
        occupant.abort()

    def _look_up_addresses(self) -> None:
        for occupant in self._new:
            self._silent[occupant] = address = occupant.counted_address
            self._by_address.setdefault(address, {})[occupant] = None
        self._new.clear()

    def _make_room(self, newcomer: Occupant) -> bool:
        self._look_up_addresses()
        own = self._by_address[self._silent[newcomer]]
        crowded = len(own) * len(self._by_address) > len(self._silent)
        for candidates in (self._answered, own if crowded else {}, self._silent, self._asked):
            for occupant in candidates:
                if occupant is not newcomer and occupant.is_evictable:
                    self._on_eviction(occupant.peer)
                    self.evict(occupant)
                    return True
        return False

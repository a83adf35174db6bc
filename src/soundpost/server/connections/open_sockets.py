"""The sockets of clients, WebSockets and others: how many there are, how many may be, and which are the first to go.

Whoever holds a socket without asking anything must not keep out those who do: where there is no room, a newcomer takes
the place of one that

1. has had its last answer and does not go,
2. has not finished a request yet: the newcomer's own address first, if it has more of those than others have,
3. has asked something, but nothing that only an application can ask.

WebSockets and applications that have signed a request stay. If nobody is left to go, the newcomer is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Occupant(Protocol):
    """A connection that holds a socket and is no WebSocket yet."""

    def abort(self) -> None:
        """Drop the socket and what waits for it."""

    @property
    def peer(self) -> str:
        """The address of its other end."""

    @property
    def counted_address(self) -> str:
        """Under which address it counts: asked for when addresses matter, which is seldom."""

    @property
    def is_evictable(self) -> bool:
        """Return whether nothing is under way that would be lost."""


class OpenSockets:
    """Counts sockets, and finds room. ``capacity``: how many may be open; ``on_eviction`` is told who makes room."""

    def __init__(self, capacity: int, on_eviction: Callable[[str], None]) -> None:
        self.capacity = capacity
        self.count = 0
        """Sockets that are open, of all kinds."""
        self._on_eviction = on_eviction
        self._new: dict[Occupant, None] = {}  # no request finished yet, and nobody has asked for the address
        self._silent: dict[Occupant, str] = {}  # the older ones, and from which address, the oldest first
        self._by_address: dict[str, dict[Occupant, None]] = {}  # the same ones
        self._asked: dict[Occupant, None] = {}  # the oldest first
        self._answered: dict[Occupant, None] = {}
        self._going: set[Occupant] = set()  # dropped; the loop says so a moment later

    def opened(self, occupant: Occupant) -> bool:
        """Count a newcomer; return whether there is room for it."""
        self.count += 1
        self._new[occupant] = None
        return self.count - len(self._going) <= self.capacity or self._make_room(occupant)

    def asked(self, occupant: Occupant) -> None:
        """It has finished its first request."""
        self.kept(occupant)
        self._asked[occupant] = None

    def answered(self, occupant: Occupant) -> None:
        """It has had its last answer, and is to go."""
        self.kept(occupant)
        self._answered[occupant] = None

    def kept(self, occupant: Occupant) -> None:
        """It is a WebSocket, or an application: it stays."""
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
        """Its socket is gone."""
        self.count -= 1
        self.kept(occupant)
        self._going.discard(occupant)

    def silent_beyond(self, limit: int, counts: Callable[[str], bool]) -> list[Occupant]:
        """The oldest of each address that has more than ``limit`` without a request, as many as are too many.

        ``counts``: whether an address is a client's, not a proxy's.
        """
        self._look_up_addresses()
        return [
            occupant
            for address, occupants in self._by_address.items()
            if len(occupants) > limit and counts(address)
            for occupant in list(occupants)[: len(occupants) - limit]
        ]

    def evict(self, occupant: Occupant) -> None:
        """Drop a socket."""
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

"""A backplane that lets a server wait for as long as a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from soundpost.core.peers import Admission, Peers, Query
from support.ticked_server import TickedServer


class LatePeers:
    """A backplane that answers when it is told to: queries, and whether all nodes have an event, or admit a client."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.asked: list[Callable[[], None]] = []
        self.publishes: list[Callable[[], None]] = []
        self.holds_publishes = False
        self.admissions: list[Callable[[], None]] = []
        self.holds_admissions = False

    @classmethod
    def of(cls, ticked: TickedServer) -> LatePeers:
        """Put one in front of a server's backplane."""
        late = ticked.server.node.peers = cls(ticked.server.node.peers)
        return late

    def __getattr__(self, name: str) -> Any:
        return getattr(self.peers, name)

    def ask(self, query: Query, then: Callable[[Any], None]) -> None:
        self.asked.append(lambda: self.peers.ask(query, then))

    def admit(self, app_id: str, then: Callable[[Admission], None], address: str | None = None) -> None:
        if self.holds_admissions:
            self.admissions.append(lambda: self.peers.admit(app_id, then, address))
        else:
            self.peers.admit(app_id, then, address)

    @property
    def is_settled(self) -> bool:
        return not self.holds_publishes and self.peers.is_settled

    def after_publishes(self, then: Callable[[], None]) -> None:
        if self.holds_publishes:
            self.publishes.append(then)
        else:
            self.peers.after_publishes(then)

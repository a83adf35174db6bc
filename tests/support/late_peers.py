"""A backplane that lets a server wait for as long as a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from soundpost.core.peers import Peers, Query
from support.ticked_server import TickedServer


class LatePeers:
    """A backplane that answers when it is told to: queries, and the question whether all nodes have an event."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.asked: list[Callable[[], None]] = []
        self.publishes: list[Callable[[], None]] = []
        self.holds_publishes = False

    @classmethod
    def of(cls, ticked: TickedServer) -> LatePeers:
        """Put one in front of a server's backplane."""
        late = ticked.server.node.peers = cls(ticked.server.node.peers)
        return late

    def __getattr__(self, name: str) -> Any:
        return getattr(self.peers, name)

    def ask(self, query: Query, then: Callable[[Any], None]) -> None:
        self.asked.append(lambda: self.peers.ask(query, then))

    @property
    def is_settled(self) -> bool:
        return not self.holds_publishes and self.peers.is_settled

    def after_publishes(self, then: Callable[[], None]) -> None:
        if self.holds_publishes:
            self.publishes.append(then)
        else:
            self.peers.after_publishes(then)

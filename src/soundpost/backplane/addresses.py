"""Connections of an app counted by client address, for apps with ``max_connections_per_ip``."""

from __future__ import annotations

from soundpost.core.peers import PeersHandler


class Addresses:
    """Numbers of connections by node and address. Connections without an address (None) are not counted."""

    def __init__(self) -> None:
        self._counts: dict[PeersHandler, dict[str, int]] = {}

    def are_full(self, address: str | None, limit: int | None) -> bool:
        """Return whether ``limit`` connections come from an address; None for no limit."""
        if address is None or limit is None:
            return False
        return sum(counts.get(address, 0) for counts in self._counts.values()) >= limit

    def add(self, node: PeersHandler, address: str | None) -> None:
        """Count an admitted connection."""
        if address is not None:
            counts = self._counts.setdefault(node, {})
            counts[address] = counts.get(address, 0) + 1

    def remove(self, node: PeersHandler, address: str | None) -> None:
        """Stop counting a connection that is gone."""
        counts = self._counts.get(node, {})
        if address is not None and address in counts:
            counts[address] -= 1
            if not counts[address]:
                del counts[address]

    def forget(self, node: PeersHandler) -> None:
        """Stop counting all connections of a node."""
        self._counts.pop(node, None)

"""From which addresses the connections of an app come, for apps that limit how many may come from one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soundpost.backplane.registry import NodeEnd


class Addresses:
    """Connections by node and address. One without an address (None) is not counted."""

    def __init__(self) -> None:
        self._counts: dict[NodeEnd, dict[str, int]] = {}

    def are_full(self, address: str | None, limit: int | None) -> bool:
        """Whether no further connection may come from an address."""
        if address is None or limit is None:
            return False
        return sum(counts.get(address, 0) for counts in self._counts.values()) >= limit

    def add(self, node: NodeEnd, address: str | None) -> None:
        """A connection was admitted."""
        if address is not None:
            counts = self._counts.setdefault(node, {})
            counts[address] = counts.get(address, 0) + 1

    def remove(self, node: NodeEnd, address: str | None) -> None:
        """It is gone."""
        counts = self._counts.get(node, {})
        if address is not None and address in counts:
            counts[address] -= 1
            if not counts[address]:
                del counts[address]

    def forget(self, node: NodeEnd) -> None:
        """All connections of a node are."""
        self._counts.pop(node, None)

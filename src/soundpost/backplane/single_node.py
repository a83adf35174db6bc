"""One process alone: there are no other nodes."""

from __future__ import annotations


class SingleNode:
    """The backplane of a node without peers; see :class:`soundpost.core.peers.Peers`."""

    def publish(self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None) -> None:
        """Nobody else has subscribers."""

    def subscribe(self, app_id: str, channel: str) -> None:
        """Everything is heard here already."""

    def unsubscribe(self, app_id: str, channel: str) -> None:
        """Everything is heard here anyway."""

    def terminate(self, app_id: str, user_id: str) -> None:
        """No other node has connections."""

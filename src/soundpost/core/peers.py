"""What a node tells the other nodes it acts as one with. Implemented by the ``backplane`` package."""

from __future__ import annotations

from typing import Protocol


class Peers(Protocol):
    """The other nodes. Every method returns at once: sending is the backplane's own affair."""

    def publish(self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None) -> None:
        """Hand a ready-made frame to the nodes that have subscribers of ``channel``, but for one socket."""

    def subscribe(self, app_id: str, channel: str) -> None:
        """This node has its first subscriber of ``channel`` and wants to hear of it."""

    def unsubscribe(self, app_id: str, channel: str) -> None:
        """This node has lost its last subscriber of ``channel``."""

    def terminate(self, app_id: str, user_id: str) -> None:
        """Close the connections of a user on the other nodes."""

"""One process alone: it keeps the registry itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from soundpost.backplane.registry import Registry
from soundpost.core.peers import Admission, Joined, Query
from soundpost.core.presence import Member

if TYPE_CHECKING:
    from soundpost.core.node import Node


class SingleNode:
    """The backplane of a node without peers; see :class:`soundpost.core.peers.Peers`. Answers at once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._node: Node

    @property
    def reaches_all(self) -> bool:
        """There are no others."""
        return True

    def attach(self, node: Node) -> None:
        """Whom to tell of members and counts."""
        self._node = node
        self._registry.add_node(node)

    def admit(self, app_id: str, then: Callable[[Admission], None]) -> None:
        """Count a connection, if the app may have one more."""
        self._registry.admit(self._node, app_id, then)

    def release(self, app_id: str) -> None:
        """A connection is gone."""
        self._registry.release(self._node, app_id)

    def join(self, app_id: str, channel: str, newcomer: Member | None, then: Callable[[Joined | None], None]) -> None:
        """Count a subscription."""
        self._registry.join(self._node, app_id, channel, newcomer, then)

    def look(self, app_id: str, channel: str, then: Callable[[Joined], None]) -> None:
        """What a subscriber is told."""
        self._registry.look(app_id, channel, then)

    def leave(self, app_id: str, channel: str, user_id: str | None) -> None:
        """A subscription is no more."""
        self._registry.leave(self._node, app_id, channel, user_id)

    def publish(self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None, keep: bool) -> None:
        """Nobody else has subscribers."""
        self._node.deliver_event(app_id, channel, frame, except_socket_id)
        self._registry.publish(self._node, app_id, channel, frame, except_socket_id, keep, _taken)

    def settled(self, then: Callable[[], None]) -> None:
        """Everything is, always."""
        then()

    def terminate(self, app_id: str, user_id: str) -> None:
        """No other node has connections."""

    def ask(self, query: Query, then: Callable[[Any], None]) -> None:
        """The registry knows."""
        self._registry.answer(query, then)

    def flush(self) -> None:
        """Nothing waits."""

    def every_few_seconds(self) -> None:
        """Counts of large channels, expired events."""
        self._registry.every_few_seconds()


def _taken(taken: bool) -> None:
    """There is nobody who waits for it."""

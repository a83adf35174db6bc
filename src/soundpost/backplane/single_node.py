"""A process that is the only node of its host: it calls the registry itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from soundpost.backplane.idempotency import RequestKeys
from soundpost.backplane.publish_barrier import Settling
from soundpost.backplane.registry import Registry
from soundpost.core.member import Member
from soundpost.core.peers import Admission, ChannelSnapshot, Query, ReadyEvent, Reception, RequestKey

if TYPE_CHECKING:
    from soundpost.backplane.redis.registry import ClusterRegistry
    from soundpost.core.node import Node


class SingleNode:
    """The backplane of a node without others on its host; see :class:`soundpost.core.peers.Peers`."""

    def __init__(self, registry: Registry | ClusterRegistry) -> None:
        self._registry = registry
        self._settling = Settling()
        self._request_keys = RequestKeys()
        self._node: Node

    @property
    def reaches_all(self) -> bool:
        """Whether other hosts, if there are any, can be reached."""
        return self._registry.reaches_all

    def attach(self, node: Node) -> None:
        """Whom to tell of members and counts, and what others say."""
        self._node = node
        self._registry.add_node(node)

    def admit(self, app_id: str, then: Callable[[Admission], None], address: str | None = None) -> None:
        """Count a connection, if there may be one more."""
        self._registry.admit(self._node, app_id, then, address)

    def release(self, app_id: str, address: str | None = None) -> None:
        """A connection is gone."""
        self._registry.release(self._node, app_id, address)

    def join(self, app_id: str, channel: str, newcomer: Member | None, then: Callable[[ChannelSnapshot | None], None]) -> None:
        """Count a subscription."""
        self._registry.join(self._node, app_id, channel, newcomer, then)

    def snapshot(self, app_id: str, channel: str, then: Callable[[ChannelSnapshot], None]) -> None:
        """What a subscriber is told."""
        self._registry.snapshot(app_id, channel, then)

    def leave(self, app_id: str, channel: str, user_id: str | None) -> None:
        """A subscription is no more."""
        self._registry.leave(self._node, app_id, channel, user_id)

    def publish(self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None, keep: bool) -> None:
        """Own clients first; then the others."""
        self._node.deliver_event(app_id, channel, frame, except_socket_id)
        self._settling.begin()
        self._registry.publish(self._node, app_id, channel, frame, except_socket_id, keep, self._settle)

    def publish_once(
        self, app_id: str, request: RequestKey, events: list[ReadyEvent], then: Callable[[Reception], None]
    ) -> None:
        """Publish all events of a request, unless it came before."""
        reception = self._request_keys.receive(app_id, request)
        if reception == "new":
            for event in events:
                self.publish(app_id, *event)
        then(reception)

    def _settle(self, taken: bool) -> None:
        self._settling.end()

    def settled(self, then: Callable[[], None]) -> None:
        """Call back when what was published so far is on its way to all hosts, or waits for those out of reach."""
        self._settling.wait(then)

    def terminate(self, app_id: str, user_id: str) -> None:
        """Close the connections of a user on other hosts."""
        self._registry.terminate(self._node, app_id, user_id)

    def ask(self, query: Query, then: Callable[[Any], None]) -> None:
        """The registry knows, or finds out."""
        self._registry.answer(query, then)

    def flush(self) -> None:
        """Nothing waits: what goes to other hosts leaves with the loop's turn."""

    def housekeep(self) -> None:
        """Counts of large channels, expired events and keys."""
        self._request_keys.drop_expired()
        self._registry.housekeep()

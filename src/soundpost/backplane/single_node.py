"""The backplane of a process that is the only node of its host."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from soundpost.backplane.idempotency import IdempotencyKeys
from soundpost.backplane.publish_barrier import PublishBarrier
from soundpost.backplane.registry import Registry
from soundpost.compilation import mypyc_attr
from soundpost.core.history import HistoryRequest
from soundpost.core.member import Member
from soundpost.core.peers import (
    Admission,
    ChannelEvents,
    ChannelSnapshot,
    IdempotencyKey,
    OutgoingEvent,
    PeersHandler,
    Query,
    Reception,
)
from soundpost.core.slices import SliceQueue
from soundpost.core.webhooks import WebhookEvent


@mypyc_attr(allow_interpreted_subclasses=True)
class SingleNode:
    """A node's direct line to the registry in the same process; see :class:`soundpost.core.peers.Peers`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._barrier = PublishBarrier()
        self._idempotency_keys = IdempotencyKeys()
        self._requests = SliceQueue(registry.call_soon)
        self._node: PeersHandler
        self._acknowledged = self._acknowledge  # the bound method: every publish hands it on

    @property
    def reaches_all(self) -> bool:
        """True if published events reach all hosts."""
        return self._registry.reaches_all

    @property
    def is_behind(self) -> bool:
        """True if very much that was stated to other hosts is still unanswered."""
        return self._registry.is_behind

    @property
    def is_alone(self) -> bool:
        """True if there are no other nodes."""
        return self._registry.is_alone

    def attach(self, node: PeersHandler) -> None:
        """Take the node that everything from the others goes to."""
        self._node = node
        self._registry.add_node(node)

    def admit(self, app_id: str, then: Callable[[Admission], None], address: str | None = None) -> None:
        """Count a connection, unless a limit is reached."""
        self._registry.admit(self._node, app_id, then, address)

    def release(self, app_id: str, address: str | None = None) -> None:
        """Stop counting a connection."""
        self._registry.release(self._node, app_id, address)

    def join(
        self,
        app_id: str,
        channel: str,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None = None,
        socket_id: str | None = None,
    ) -> None:
        """Count a subscription."""
        self._registry.join(self._node, app_id, channel, newcomer, then, history, socket_id)

    def snapshot(
        self,
        app_id: str,
        channel: str,
        then: Callable[[ChannelSnapshot], None],
        history: HistoryRequest | None = None,
    ) -> None:
        """Read the state that a subscriber of the channel is sent."""
        self._registry.snapshot(app_id, channel, then, history)

    def leave(
        self, app_id: str, channel: str, user_id: str | None, linger: float = 0, socket_id: str | None = None
    ) -> None:
        """Stop counting a subscription."""
        self._registry.leave(self._node, app_id, channel, user_id, linger, socket_id)

    def publish(self, app_id: str, event: OutgoingEvent) -> None:
        """Send an event to the other hosts, and deliver it to this node's clients; kept ones the registry delivers."""
        self._barrier.begin()
        self._registry.publish(self._node, app_id, event, self._acknowledged)
        if event.id is None:  # behind the kept ones that the registry may have delivered just now
            self._node.deliver_event(app_id, event.channel, event.frame, event.except_socket_id)

    def publish_once(
        self,
        app_id: str,
        key: IdempotencyKey,
        events: list[OutgoingEvent],
        groups: list[ChannelEvents],
        then: Callable[[Reception], None],
    ) -> None:
        """Publish all events of a request, unless its idempotency key was taken before."""
        reception = self._idempotency_keys.receive(app_id, key)
        if events or reception != "new":  # a repeated request is answered behind the events of the first one
            kept = events if reception == "new" else []
            self._requests.add(kept, partial(self.publish, app_id), then=partial(then, reception))
            return
        for group in groups:
            self._barrier.begin()
            self._registry.publish_all(self._node, app_id, group, self._acknowledged)
            self._node.deliver_events(app_id, group.channel, group.frames, group.except_socket_id)
        then(reception)

    def _acknowledge(self, taken: bool) -> None:
        self._barrier.end()

    @property
    def is_settled(self) -> bool:
        """True if the events published so far are on their way to all hosts, or wait for unreachable ones."""
        return self._barrier.is_settled

    def after_publishes(self, then: Callable[[], None]) -> None:
        """Call back once the events published so far are on their way to all hosts, or wait for unreachable ones."""
        self._barrier.wait(then)

    def terminate(self, app_id: str, user_id: str) -> None:
        """Close all connections of a user on other hosts."""
        self._registry.terminate(self._node, app_id, user_id)

    def sign_in(self, app_id: str, user_id: str, info_json: bytes) -> None:
        """Note that a user has its first signed-in connection here."""
        self._registry.sign_in(self._node, app_id, user_id, info_json)

    def sign_out(self, app_id: str, user_id: str, linger: float, is_last: bool) -> None:
        """Note that a signed-in connection of a user is gone."""
        self._registry.sign_out(self._node, app_id, user_id, linger, is_last)

    def watch(self, app_id: str, user_ids: list[str], then: Callable[[list[str]], None]) -> None:
        """Answer which users are online, and tell of changes from then on."""
        self._registry.watch(self._node, app_id, user_ids, then)

    def unwatch(self, app_id: str, user_ids: list[str]) -> None:
        """Stop telling of users."""
        self._registry.unwatch(self._node, app_id, user_ids)

    def report(self, app_id: str, event: WebhookEvent) -> None:
        """Hand an event on to the app's webhooks."""
        self._registry.report(app_id, event)

    def ask(self, query: Query, then: Callable[[Any], None]) -> None:
        """Answer a query from the registry."""
        self._registry.answer(query, then)

    def flush(self) -> None:
        """Do nothing: messages to other hosts leave with the loop turn."""

    def housekeep(self) -> None:
        """Drop expired idempotency keys, and do the registry's periodic work."""
        self._idempotency_keys.drop_expired()
        self._registry.housekeep()

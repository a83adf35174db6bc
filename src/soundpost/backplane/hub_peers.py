"""The backplane of a worker: it asks the hub."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from soundpost.backplane.hub_messages import (
    Admit,
    Admitted,
    Answer,
    Ask,
    Event,
    Join,
    Known,
    Leave,
    Look,
    Message,
    NoRoom,
    Ping,
    Pong,
    Publish,
    Published,
    PublishOnce,
    Reach,
    Release,
    Room,
    Settled,
    Terminate,
    Told,
)
from soundpost.backplane.publish_barrier import Settling
from soundpost.core.member import Member
from soundpost.core.peers import Admission, ChannelSnapshot, Query, ReadyEvent, Reception, RequestKey

if TYPE_CHECKING:
    from soundpost.core.node import Node


class HubPeers:
    """The other workers; see :class:`soundpost.core.peers.Peers`. ``send`` reaches the hub, ``flush`` does so now."""

    def __init__(self, send: Callable[[Message], None], flush: Callable[[], None]) -> None:
        self._send = send
        self.flush = flush
        self._number = 0
        self._waiting: dict[int, Callable[[Any], None]] = {}
        """Who asked the hub, by the number of the question."""
        self._settling = Settling()
        self._node: Node
        self.reaches_all = True

    def attach(self, node: Node) -> None:
        """Whom to tell what the hub says."""
        self._node = node

    def admit(self, app_id: str, then: Callable[[Admission], None], address: str | None = None) -> None:
        """Count a connection, if the app may have one more."""
        self._send(Admit(self._ask(then), app_id, address))

    def release(self, app_id: str, address: str | None = None) -> None:
        """A connection is gone."""
        self._send(Release(app_id, address))

    def join(self, app_id: str, channel: str, newcomer: Member | None, then: Callable[[ChannelSnapshot | None], None]) -> None:
        """Count a subscription."""
        number = self._ask(then)
        if newcomer is None:
            self._send(Join(number, app_id, channel, None, b""))
        else:
            self._send(Join(number, app_id, channel, newcomer.user_id, newcomer.info_json))

    def snapshot(self, app_id: str, channel: str, then: Callable[[ChannelSnapshot], None]) -> None:
        """What a subscriber is told."""
        self._send(Look(self._ask(then), app_id, channel))

    def leave(self, app_id: str, channel: str, user_id: str | None) -> None:
        """A subscription is no more."""
        self._send(Leave(app_id, channel, user_id))

    def publish(self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None, keep: bool) -> None:
        """Hand an event to the hub; it goes to this worker's own clients when the hub has put it in order."""
        own = partial(self._node.deliver_event, app_id, channel, frame, except_socket_id)
        number = self._ask(lambda published: own())
        self._settling.begin()
        self._send(Publish(number, app_id, channel, frame, except_socket_id, keep))

    def publish_once(
        self, app_id: str, request: RequestKey, events: list[ReadyEvent], then: Callable[[Reception], None]
    ) -> None:
        """Hand all events of a request to the hub, which knows whether one of the workers had it before."""

        def received(known: Reception | None) -> None:
            if known is None:
                for channel, frame, except_socket_id, _ in events:
                    self._node.deliver_event(app_id, channel, frame, except_socket_id)
            then(known or "new")

        number = self._ask(received)
        self._settling.begin()
        self._send(PublishOnce(number, app_id, request, events))

    def settled(self, then: Callable[[], None]) -> None:
        """Call back when all that was published so far is on its way to all nodes."""
        self._settling.wait(then)

    def terminate(self, app_id: str, user_id: str) -> None:
        """Close the connections of a user on the other workers."""
        self._send(Terminate(app_id, user_id))

    def ask(self, query: Query, then: Callable[[Any], None]) -> None:
        """The hub knows."""
        self._send(Ask(self._ask(then), query))

    def _ask(self, then: Callable[[Any], None]) -> int:
        self._number += 1
        self._waiting[self._number] = then
        return self._number

    def housekeep(self) -> None:
        """The hub does what is due."""

    # What the hub says

    def handle(self, message: Message) -> None:
        """Act on what the hub says."""
        if isinstance(message, Event):
            self._node.deliver_event(message.app_id, message.channel, message.frame, message.except_socket_id)
        elif isinstance(message, Published):
            self._waiting.pop(message.number)(None)
            if message.settled:
                self._settling.end()
        elif isinstance(message, Settled):
            self._settling.end()
        elif isinstance(message, Room):
            self._waiting.pop(message.number)(ChannelSnapshot(message.presence, message.cached))
        elif isinstance(message, NoRoom):
            self._waiting.pop(message.number)(None)
        elif isinstance(message, Admitted):
            self._waiting.pop(message.number)(message.admission)
        elif isinstance(message, Answer):
            self._waiting.pop(message.number)(message.value)
        elif isinstance(message, Known):
            self._waiting.pop(message.number)(message.reception)
            self._settling.end()
        elif isinstance(message, Reach):
            self.reaches_all = message.all
        elif isinstance(message, Terminate):
            self._node.terminate(message.app_id, message.user_id)
        elif isinstance(message, Told):
            self._node.tell(message.change)
        elif isinstance(message, Ping):
            self._send(Pong())

"""The backplane of a worker: its end of the link to the hub."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from soundpost.backplane.hub_framing import Message
from soundpost.backplane.hub_messages import (
    Admitted,
    Answer,
    ChannelFull,
    EndTail,
    EventMessage,
    EventsMessage,
    HistoryLost,
    Inspect,
    KnownRequest,
    NoticeMessage,
    Observed,
    Ping,
    Propagated,
    Published,
    Reachability,
    Snapshot,
    Tail,
    Terminate,
    UserStatus,
)
from soundpost.backplane.publish_barrier import PublishBarrier
from soundpost.backplane.worker_messages import (
    Admit,
    Ask,
    GetSnapshot,
    Inspected,
    Join,
    Leave,
    Pong,
    Publish,
    PublishOnce,
    Release,
    Report,
    SignedIn,
    SignedOut,
    Tailed,
    Unwatch,
    Watch,
)
from soundpost.core.history import HistoryPage, HistoryRequest
from soundpost.core.inspection import Reply
from soundpost.core.member import Member
from soundpost.core.peers import (
    Admission,
    ChannelEvents,
    ChannelSnapshot,
    HistoryQuery,
    IdempotencyKey,
    OutgoingEvent,
    PeersHandler,
    Query,
    Reception,
)
from soundpost.core.webhooks import WebhookEvent


def _take_page(then: Callable[[HistoryPage], None], answer: Any) -> None:
    then(msgspec.convert(answer, HistoryPage))


class HubPeers:
    """The other workers and hosts, reached by way of the hub; see :class:`soundpost.core.peers.Peers`.

    ``send`` sends a message to the hub at the end of the loop turn, ``flush`` sends waiting messages now.
    """

    def __init__(self, send: Callable[[Message], None], flush: Callable[[], None]) -> None:
        self._send = send
        self.flush = flush
        self._number = 0
        self._waiting: dict[int, Callable[[Any], None]] = {}
        """Callbacks for the hub's answers, by number of the question."""
        self._barrier = PublishBarrier()
        self._node: PeersHandler
        self.reaches_all = True
        self.is_behind = False
        self.is_alone = False

    def attach(self, node: PeersHandler) -> None:
        """Take the node that everything from the others goes to."""
        self._node = node

    def admit(self, app_id: str, then: Callable[[Admission], None], address: str | None = None) -> None:
        """Count a connection, unless a limit is reached."""
        self._send(Admit(self._ask(then), app_id, address))

    def release(self, app_id: str, address: str | None = None) -> None:
        """Stop counting a connection."""
        self._send(Release(app_id, address))

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
        number = self._ask(then)
        if newcomer is None:
            self._send(Join(number, app_id, channel, None, b"", history))
        else:
            self._send(Join(number, app_id, channel, newcomer.user_id, newcomer.info_json, history, socket_id))

    def snapshot(
        self,
        app_id: str,
        channel: str,
        then: Callable[[ChannelSnapshot], None],
        history: HistoryRequest | None = None,
    ) -> None:
        """Read the state that a subscriber of the channel is sent."""
        self._send(GetSnapshot(self._ask(then), app_id, channel, history))

    def leave(
        self, app_id: str, channel: str, user_id: str | None, linger: float = 0, socket_id: str | None = None
    ) -> None:
        """Stop counting a subscription."""
        self._send(Leave(app_id, channel, user_id, linger, socket_id))

    def publish(self, app_id: str, event: OutgoingEvent) -> None:
        """Send an event to the hub; this worker's clients get the event when the hub has put it in order."""
        number = self._ask(lambda _: self._deliver(app_id, event))
        self._barrier.begin()
        self._send(Publish(number, app_id, event))

    def publish_once(
        self,
        app_id: str,
        key: IdempotencyKey,
        events: list[OutgoingEvent],
        groups: list[ChannelEvents],
        then: Callable[[Reception], None],
    ) -> None:
        """Send all events of a request to the hub, which knows the idempotency keys that its workers took."""

        def answered(known: Reception | None) -> None:
            if known is None:
                for group in groups:  # if there are none, the hub has sent all, in order
                    self._node.deliver_events(app_id, group.channel, group.frames, group.except_socket_id)
            then(known or "new")

        number = self._ask(answered)
        self._barrier.begin()
        self._send(PublishOnce(number, app_id, key, events, groups))

    def _deliver(self, app_id: str, event: OutgoingEvent) -> None:
        if event.id is not None:  # the hub has sent it, with its position
            return
        self._node.deliver_event(app_id, event.channel, event.frame, event.except_socket_id)

    @property
    def is_settled(self) -> bool:
        """True if the hub has put the events published so far in order."""
        return self._barrier.is_settled

    def after_publishes(self, then: Callable[[], None]) -> None:
        """Call back once the events published so far are on their way to all nodes, or wait for unreachable ones."""
        self._barrier.wait(then)

    def terminate(self, app_id: str, user_id: str) -> None:
        """Close all connections of a user on the other workers and hosts."""
        self._send(Terminate(app_id, user_id))

    def sign_in(self, app_id: str, user_id: str, info_json: bytes) -> None:
        """Note that a user has its first signed-in connection on this worker."""
        self._send(SignedIn(app_id, user_id, info_json))

    def sign_out(self, app_id: str, user_id: str, linger: float, is_last: bool) -> None:
        """Note that a signed-in connection of a user is gone."""
        self._send(SignedOut(app_id, user_id, linger, is_last))

    def watch(self, app_id: str, user_ids: list[str], then: Callable[[list[str]], None]) -> None:
        """Ask the hub which users are online; it tells of changes from then on."""
        self._send(Watch(self._ask(then), app_id, user_ids))

    def unwatch(self, app_id: str, user_ids: list[str]) -> None:
        """Stop being told of users."""
        self._send(Unwatch(app_id, user_ids))

    def report(self, app_id: str, event: WebhookEvent) -> None:
        """Hand an event on to the app's webhooks, by way of the hub."""
        self._send(Report(app_id, event))

    def ask(self, query: Query, then: Callable[[Any], None]) -> None:
        """Have the hub answer a query."""
        if isinstance(query, HistoryQuery):
            then = partial(_take_page, then)
        self._send(Ask(self._ask(then), query))

    def _ask(self, then: Callable[[Any], None]) -> int:
        self._number += 1
        self._waiting[self._number] = then
        return self._number

    def housekeep(self) -> None:
        """Do nothing: the hub does the periodic work."""

    # From the hub

    def handle(self, message: Message) -> None:
        """Handle a message from the hub."""
        if isinstance(message, EventMessage):
            self._node.deliver_event(
                message.app_id, message.channel, message.frame, message.except_socket_id, message.kept
            )
        elif isinstance(message, EventsMessage):
            self._node.deliver_events(message.app_id, message.channel, message.frames, message.except_socket_id)
        elif isinstance(message, NoticeMessage):
            self._node.deliver_notice(message.app_id, message.channel, message.notice)
        elif isinstance(message, Published):
            self._waiting.pop(message.number)(None)
            if message.propagated:
                self._barrier.end()
        elif isinstance(message, Propagated):
            self._barrier.end()
        elif isinstance(message, Snapshot):
            self._waiting.pop(message.number)(ChannelSnapshot(message.presence, message.cached, message.history))
        elif isinstance(message, ChannelFull):
            self._waiting.pop(message.number)(None)
        elif isinstance(message, Admitted):
            self._waiting.pop(message.number)(message.admission)
        elif isinstance(message, Answer):
            self._waiting.pop(message.number)(message.value)
        elif isinstance(message, KnownRequest):
            self._waiting.pop(message.number)(message.reception)
            self._barrier.end()
        elif isinstance(message, Reachability):
            self.reaches_all = message.reaches_all
        elif isinstance(message, Terminate):
            self._node.terminate(message.app_id, message.user_id)
        elif isinstance(message, HistoryLost):
            self._node.lose_history(message.app_id, message.channel, message.reason, message.position)
        elif isinstance(message, UserStatus):
            self._node.deliver_user_status(message.app_id, message.user_id, message.is_online)
        elif isinstance(message, Observed):
            self._node.observe(message.event)
        elif isinstance(message, Inspect):
            self._node.inspect(message.question, partial(self._send_reply, message.number))
        elif isinstance(message, Tail):
            self._node.start_tail(message.start, lambda lines: self._send(Tailed(lines)))
        elif isinstance(message, EndTail):
            self._node.stop_tail(message.tail_id)
        elif isinstance(message, Ping):
            self._send(Pong())

    def _send_reply(self, number: int, reply: Reply) -> None:
        self._send(Inspected(number, reply))

"""The hub: the process that connects the workers of one host and keeps their shared state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

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
    Propagated,
    Published,
    Reachability,
    Reconfigure,
    Snapshot,
    Tail,
    Terminate,
    UserStatus,
)
from soundpost.backplane.idempotency import IdempotencyKeys
from soundpost.backplane.registry import Registry
from soundpost.backplane.worker_messages import (
    Admit,
    Ask,
    GetSnapshot,
    Inspected,
    Join,
    Leave,
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
from soundpost.core.app_settings import AppSettings
from soundpost.core.gathered_notices import MemberNotice
from soundpost.core.inspection import Question, Reply, StartTail, TailLines
from soundpost.core.member import Member
from soundpost.core.observer_events import ObserverEvent
from soundpost.core.peers import ChannelSnapshot, OutgoingEvent
from soundpost.core.slices import SliceQueue

_MAX_TAILS: Final = 100
"""Tails that a worker is remembered to have, more than it serves at a time."""
Send = Callable[[Message], None]
"""Function that sends a message to a worker."""


class Hub:
    """The workers of a host, their registry, and the idempotency keys of their requests."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.idempotency_keys = IdempotencyKeys()
        self.requests = SliceQueue(registry.call_soon)
        """Requests of which a history keeps events."""
        self.workers: list[WorkerEnd] = []
        registry.on_reachability = self._send_reachability

    def add(self, send: Send) -> WorkerEnd:
        """Take a new worker, to which ``send`` sends messages."""
        worker = WorkerEnd(self, send)
        self.workers.append(worker)
        self.registry.add_node(worker)
        if not self.registry.reaches_all:
            worker.send_reachability(False)
        return worker

    def remove(self, worker: WorkerEnd) -> None:
        """Remove a worker that is gone: its clients leave everything they were in."""
        if worker in self.workers:
            self.workers.remove(worker)
            self.registry.remove_node(worker)

    def housekeep(self) -> None:
        """Do periodic work of the registry, and drop expired idempotency keys."""
        self.registry.housekeep()
        self.idempotency_keys.drop_expired()

    def reconfigure(self, apps: Iterable[AppSettings]) -> None:
        """Serve other apps, or the same with other settings, on all workers."""
        self.registry.reconfigure(apps)
        for worker in self.workers:
            worker.reconfigure(list(apps))

    def _send_reachability(self) -> None:
        for worker in self.workers:
            worker.send_reachability(self.registry.reaches_all)


class Publication:
    """One or several events that a worker publishes at once.

    The events get their place in the order of this host first; then, or later, they are on their way to all hosts.
    """

    __slots__ = ("_number", "_ordered", "_send", "_unpropagated")

    def __init__(self, send: Send, number: int, events: int = 1) -> None:
        self._send = send
        self._number = number
        self._ordered = False
        self._unpropagated = events

    def order(self) -> None:
        """Tell the worker that its events have their place in the order of this host."""
        self._ordered = True
        self._send(Published(self._number, not self._unpropagated))

    def propagate(self, taken: bool) -> None:
        """Note that one of the events is on its way to the other hosts, or waits for them."""
        self._unpropagated -= 1
        if self._ordered and not self._unpropagated:
            self._send(Propagated(self._number))


class WorkerEnd:
    """The hub's end of the link to one worker; a node of the registry (``PeersHandler``)."""

    def __init__(self, hub: Hub, send: Send) -> None:
        self._hub = hub
        self._registry = hub.registry
        self._send = send
        self.has_observers = False
        """True if the worker has observers."""
        self._handlers: dict[type, Callable[[Any], None]] = {
            Admit: self._admit,
            Release: self._release,
            Join: self._join,
            GetSnapshot: self._get_snapshot,
            Leave: self._leave,
            Publish: self._publish,
            PublishOnce: self._publish_once,
            Terminate: self._terminate,
            SignedIn: self._sign_in,
            SignedOut: self._sign_out,
            Watch: self._watch,
            Unwatch: self._unwatch,
            Report: self._report,
            Ask: self._ask,
            Inspected: self._take_reply,
            Tailed: self._take_lines,
        }
        self._number = 0
        self._unanswered: dict[int, Callable[[Reply], None]] = {}
        """Callbacks for the worker's replies to questions of operators, by number of the question."""
        self._tails: dict[str, Callable[[TailLines], None]] = {}
        """Callbacks for the lines of tails, by id of the tail."""

    def handle(self, message: Message) -> None:
        """Handle a message from the worker."""
        self._handlers[type(message)](message)

    def _admit(self, message: Admit) -> None:
        self._registry.admit(
            self, message.app_id, lambda admission: self._send(Admitted(message.number, admission)), message.address
        )

    def _release(self, message: Release) -> None:
        self._registry.release(self, message.app_id, message.address)

    def _join(self, message: Join) -> None:
        newcomer = None if message.user_id is None else Member(message.user_id, message.info)
        then = partial(self._answer, message.number)
        self._registry.join(self, message.app_id, message.channel, newcomer, then, message.history, message.socket_id)

    def _answer(self, number: int, snapshot: ChannelSnapshot | None) -> None:
        self._send(ChannelFull(number) if snapshot is None else Snapshot(number, *snapshot))

    def _get_snapshot(self, message: GetSnapshot) -> None:
        then = partial(self._answer, message.number)
        self._registry.snapshot(message.app_id, message.channel, then, message.history)

    def _leave(self, message: Leave) -> None:
        self._registry.leave(self, message.app_id, message.channel, message.user_id, message.linger, message.socket_id)

    def _publish(self, message: Publish) -> None:
        publication = Publication(self._send, message.number)
        self._registry.publish(self, message.app_id, message.event, publication.propagate)
        publication.order()

    def _publish_once(self, message: PublishOnce) -> None:
        reception = self._hub.idempotency_keys.receive(message.app_id, message.key)
        if reception != "new":  # answered behind the events of the first request
            known = KnownRequest(message.number, reception)
            self._hub.requests.add((), self._send, then=partial(self._send, known))
            return
        publication = Publication(self._send, message.number, len(message.events) + len(message.groups))
        for group in message.groups:
            self._registry.publish_all(self, message.app_id, group, publication.propagate)
        if message.events:
            publish = partial(self._publish_in_order, message.app_id, publication)
            self._hub.requests.add(message.events, publish, then=publication.order)
        else:
            publication.order()

    def _publish_in_order(self, app_id: str, publication: Publication, event: OutgoingEvent) -> None:
        self._registry.publish(self, app_id, event, publication.propagate)
        if event.id is None:  # the worker gets the kept ones from here, so these too: in order
            self.deliver_event(app_id, event.channel, event.frame, event.except_socket_id)

    def _terminate(self, message: Terminate) -> None:
        self._registry.terminate(self, message.app_id, message.user_id)

    def _sign_in(self, message: SignedIn) -> None:
        self._registry.sign_in(self, message.app_id, message.user_id, message.info)

    def _sign_out(self, message: SignedOut) -> None:
        self._registry.sign_out(self, message.app_id, message.user_id, message.linger, message.is_last)

    def _watch(self, message: Watch) -> None:
        self._registry.watch(
            self, message.app_id, message.user_ids, lambda online: self._send(Answer(message.number, online))
        )

    def _unwatch(self, message: Unwatch) -> None:
        self._registry.unwatch(self, message.app_id, message.user_ids)

    def _report(self, message: Report) -> None:
        self._registry.report(message.app_id, message.event)

    def _ask(self, message: Ask) -> None:
        self._registry.answer(message.query, lambda value: self._send(Answer(message.number, value)))

    def _take_reply(self, message: Inspected) -> None:
        then = self._unanswered.pop(message.number, None)
        if then is not None:
            then(message.reply)

    def _take_lines(self, message: Tailed) -> None:
        on_lines = self._tails.get(message.lines.tail_id)
        if on_lines is not None:
            on_lines(message.lines)

    # From the hub and its registry to the worker

    def reconfigure(self, apps: list[AppSettings]) -> None:
        """Send the worker other apps."""
        self._send(Reconfigure(apps))

    def send_reachability(self, reaches_all: bool) -> None:
        """Tell the worker whether published events reach all nodes there are."""
        self._send(Reachability(reaches_all))

    def deliver_event(
        self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None, kept: bool = False
    ) -> None:
        """Send the worker an event for the channel's subscribers, except one socket."""
        self._send(EventMessage(app_id, channel, frame, except_socket_id, kept))

    def deliver_events(self, app_id: str, channel: str, frames: list[bytes], except_socket_id: str | None) -> None:
        """Send the worker several events for the channel's subscribers, except one socket."""
        self._send(EventsMessage(app_id, channel, frames, except_socket_id))

    def lose_history(self, app_id: str, channel: str, reason: str, position: str) -> None:
        """Tell the worker of a gap in a channel's history."""
        self._send(HistoryLost(app_id, channel, reason, position))

    def deliver_notice(self, app_id: str, channel: str, notice: MemberNotice) -> None:
        """Send the worker a notice of a large presence channel, to be gathered with others."""
        self._send(NoticeMessage(app_id, channel, notice))

    def terminate(self, app_id: str, user_id: str) -> None:
        """Have the worker close all connections of a user."""
        self._send(Terminate(app_id, user_id))

    def deliver_user_status(self, app_id: str, user_id: str, is_online: bool) -> None:
        """Send the worker news of a user whom it watches."""
        self._send(UserStatus(app_id, user_id, is_online))

    def observe(self, event: ObserverEvent) -> None:
        """Send the worker an event for its observers, if it has any."""
        if self.has_observers:
            self._send(Observed(event))

    def inspect(self, question: Question, then: Callable[[Reply], None]) -> None:
        """Send the worker a question of operators; ``then`` gets the reply, unless the worker dies before."""
        self._number += 1
        self._unanswered[self._number] = then
        self._send(Inspect(self._number, question))

    def start_tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> None:
        """Have the worker begin a tail, or keep it going."""
        self._tails.pop(start.tail_id, None)
        self._tails[start.tail_id] = on_lines
        if len(self._tails) > _MAX_TAILS:  # its host is gone without a word
            del self._tails[next(iter(self._tails))]
        self._send(Tail(start))

    def stop_tail(self, tail_id: str) -> None:
        """Have the worker end a tail."""
        if self._tails.pop(tail_id, None) is not None:
            self._send(EndTail(tail_id))

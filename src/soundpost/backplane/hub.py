"""The hub: the process that connects the workers of one host, and keeps what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    Publish,
    Published,
    PublishOnce,
    Reach,
    Reconfigure,
    Release,
    Room,
    Settled,
    Terminate,
    Told,
)
from soundpost.backplane.idempotency import RequestKeys
from soundpost.backplane.registry import Registry
from soundpost.core.app_settings import AppSettings
from soundpost.core.member import Member
from soundpost.core.peers import Change, ChannelSnapshot

if TYPE_CHECKING:
    from soundpost.backplane.redis.registry import ClusterRegistry

Send = Callable[[Message], None]


class Hub:
    """The workers, the registry of what they have, and the keys of the requests they got."""

    def __init__(self, registry: Registry | ClusterRegistry) -> None:
        self.registry = registry
        self.request_keys = RequestKeys()
        self.workers: list[WorkerEnd] = []
        registry.on_reach = self._tell_reach

    def add(self, send: Send) -> WorkerEnd:
        """A worker has come; ``send`` reaches it."""
        worker = WorkerEnd(self, send)
        self.workers.append(worker)
        self.registry.add_node(worker)
        if not self.registry.reaches_all:
            worker.tell_reach(False)
        return worker

    def remove(self, worker: WorkerEnd) -> None:
        """A worker is gone: its clients leave everything they were in."""
        if worker in self.workers:
            self.workers.remove(worker)
            self.registry.lost(worker)

    def housekeep(self) -> None:
        """What need not be done at once."""
        self.registry.housekeep()
        self.request_keys.drop_expired()

    def reconfigure(self, apps: Iterable[AppSettings]) -> None:
        """Other apps from now on."""
        self.registry.reconfigure(apps)
        for worker in self.workers:
            worker.reconfigure(list(apps))

    def _tell_reach(self) -> None:
        for worker in self.workers:
            worker.tell_reach(self.registry.reaches_all)


class Publication:
    """What a worker publishes, one event or several: once in order, and, then or later, on its way to everybody."""

    __slots__ = ("_number", "_ordered", "_send", "_unsettled")

    def __init__(self, send: Send, number: int, events: int = 1) -> None:
        self._send = send
        self._number = number
        self._ordered = False
        self._unsettled = events

    def order(self) -> None:
        """It has its place among all events of this host."""
        self._ordered = True
        self._send(Published(self._number, not self._unsettled))

    def settle(self, taken: bool) -> None:
        """One of its events is on its way to the other hosts, or waits."""
        self._unsettled -= 1
        if self._ordered and not self._unsettled:
            self._send(Settled(self._number))


class WorkerEnd:
    """One worker as the hub sees it. What it says goes to :meth:`handle`; it is a ``NodeEnd`` of the registry."""

    def __init__(self, hub: Hub, send: Send) -> None:
        self._hub = hub
        self._registry = hub.registry
        self._send = send
        self.watches = False
        """Whether it has observers."""
        self._handlers: dict[type, Callable[[Any], None]] = {
            Admit: self._admit,
            Release: self._release,
            Join: self._join,
            Look: self._look,
            Leave: self._leave,
            Publish: self._publish,
            PublishOnce: self._publish_once,
            Terminate: self._terminate,
            Ask: self._ask,
        }

    def handle(self, message: Message) -> None:
        """Act on what the worker says."""
        self._handlers[type(message)](message)

    def _admit(self, message: Admit) -> None:
        self._registry.admit(
            self, message.app_id, lambda admission: self._send(Admitted(message.number, admission)), message.address
        )

    def _release(self, message: Release) -> None:
        self._registry.release(self, message.app_id, message.address)

    def _join(self, message: Join) -> None:
        newcomer = None if message.user_id is None else Member(message.user_id, message.info)
        self._registry.join(self, message.app_id, message.channel, newcomer, partial(self._answer, message.number))

    def _answer(self, number: int, snapshot: ChannelSnapshot | None) -> None:
        self._send(NoRoom(number) if snapshot is None else Room(number, *snapshot))

    def _look(self, message: Look) -> None:
        self._registry.snapshot(message.app_id, message.channel, partial(self._answer, message.number))

    def _leave(self, message: Leave) -> None:
        self._registry.leave(self, message.app_id, message.channel, message.user_id)

    def _publish(self, message: Publish) -> None:
        publication = Publication(self._send, message.number)
        self._registry.publish(
            self,
            message.app_id,
            message.channel,
            message.frame,
            message.except_socket_id,
            message.keep,
            publication.settle,
        )
        publication.order()

    def _publish_once(self, message: PublishOnce) -> None:
        reception = self._hub.request_keys.receive(message.app_id, message.request)
        if reception != "new":
            self._send(Known(message.number, reception))
            return
        publication = Publication(self._send, message.number, len(message.events))
        for event in message.events:
            self._registry.publish(self, message.app_id, *event, publication.settle)
        publication.order()

    def _terminate(self, message: Terminate) -> None:
        self._registry.terminate(self, message.app_id, message.user_id)

    def _ask(self, message: Ask) -> None:
        self._registry.answer(message.query, lambda value: self._send(Answer(message.number, value)))

    # What the registry tells

    def reconfigure(self, apps: list[AppSettings]) -> None:
        """Other apps from now on."""
        self._send(Reconfigure(apps))

    def tell_reach(self, all: bool) -> None:
        """Whether what is published reaches all nodes there are."""
        self._send(Reach(all))

    def deliver_event(self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None) -> None:
        """An event for the subscribers of a channel on this worker, but one."""
        self._send(Event(app_id, channel, frame, except_socket_id))

    def terminate(self, app_id: str, user_id: str) -> None:
        """The connections of a user on this worker are to be closed."""
        self._send(Terminate(app_id, user_id))

    def tell(self, change: Change) -> None:
        """Something for this worker's observers."""
        if self.watches:
            self._send(Told(change))

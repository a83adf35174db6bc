"""The hub: the process that connects the workers of one host, and keeps what they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from soundpost.backplane.hub_messages import (
    Admit,
    Admitted,
    Answer,
    Ask,
    Event,
    Join,
    Leave,
    Look,
    Message,
    NoRoom,
    Publish,
    Published,
    Release,
    Room,
    Terminate,
    Told,
)
from soundpost.backplane.registry import Registry
from soundpost.core.peers import Change, Joined
from soundpost.core.presence import Member

Send = Callable[[Message], None]


class Hub:
    """The workers, and the registry of what they have."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.workers: list[WorkerEnd] = []

    def add(self, send: Send) -> WorkerEnd:
        """A worker has come; ``send`` reaches it."""
        worker = WorkerEnd(self, send)
        self.workers.append(worker)
        return worker

    def remove(self, worker: WorkerEnd) -> None:
        """A worker is gone: its clients leave everything they were in."""
        if worker in self.workers:
            self.workers.remove(worker)
            self.registry.lost(worker, next((other for other in self.workers if other.watches), None))


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
            Terminate: self._terminate,
            Ask: self._ask,
        }

    def handle(self, message: Message) -> None:
        """Act on what the worker says."""
        self._handlers[type(message)](message)

    def _admit(self, message: Admit) -> None:
        self._send(Admitted(self._registry.admit(self, message.app_id)))

    def _release(self, message: Release) -> None:
        self._registry.release(self, message.app_id)

    def _join(self, message: Join) -> None:
        newcomer = None if message.user_id is None else Member(message.user_id, message.info)
        self._registry.join(self, message.app_id, message.channel, newcomer, self._answer_join)

    def _answer_join(self, joined: Joined | None) -> None:
        self._send(NoRoom() if joined is None else Room(*joined))

    def _look(self, message: Look) -> None:
        self._send(Room(*self._registry.look(message.app_id, message.channel)))

    def _leave(self, message: Leave) -> None:
        self._registry.leave(self, message.app_id, message.channel, message.user_id)

    def _publish(self, message: Publish) -> None:
        if message.keep:
            self._registry.keep(message.app_id, message.channel, message.frame)
        self._registry.pass_on(self, message.app_id, message.channel, message.frame, message.except_socket_id)
        self._send(Published())

    def _terminate(self, message: Terminate) -> None:
        self._registry.terminate(self, message.app_id, message.user_id)

    def _ask(self, message: Ask) -> None:
        self._send(Answer(self._registry.answer(message.query)))

    # What the registry tells

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

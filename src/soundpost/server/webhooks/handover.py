"""State that the dispatcher of webhooks hands over to the next process in a restart."""

from __future__ import annotations

import logging

import msgspec
from msgspec import Struct

from soundpost.core.webhooks import WebhookEvent
from soundpost.server.webhooks.states import State
from soundpost.server.webhooks.waiting_event import WaitingEvent

log = logging.getLogger("soundpost.webhooks")


class HandedEvent(Struct, array_like=True):
    """An event that waits, or is held back."""

    event: WebhookEvent
    id: str
    was_tried: bool
    was_dropped: bool

    @classmethod
    def of(cls, waiting: WaitingEvent) -> HandedEvent:
        """Return an event as it is handed over."""
        return cls(waiting.event, waiting.id, waiting.was_tried, waiting.was_dropped)

    def waiting(self, app_id: str) -> WaitingEvent:
        """Return the event as the next process has it."""
        made = WaitingEvent(app_id, self.event, self.id)
        made.was_tried, made.was_dropped = self.was_tried, self.was_dropped
        return made


class HandedEndpoint(Struct, array_like=True):
    """The queue of one endpoint."""

    url: str
    number: int
    waiting: list[int]
    """Indexes of events of the app."""


class HandedApp(Struct, array_like=True):
    """States and queues of one app."""

    notified: list[tuple[State, bool]]
    held: list[HandedEvent]
    events: list[HandedEvent]
    endpoints: list[HandedEndpoint]


Handed = dict[str, HandedApp]


def encode(apps: Handed) -> bytes:
    """Return the apps as bytes."""
    return msgspec.msgpack.encode(apps)


def decode(data: bytes | None) -> Handed:
    """Return apps from bytes; none if there are no bytes, or if they cannot be read, which is logged."""
    if data is None:
        return {}
    try:
        return msgspec.msgpack.decode(data, type=Handed)
    except msgspec.DecodeError as error:
        log.warning("webhook events that waited at the restart are lost, as they cannot be read: %s", error)
        return {}

"""An event on its way to the endpoints of its app."""

from __future__ import annotations

from typing import Any, Final

from soundpost.core.webhooks import WebhookEvent
from soundpost.wire.webhook_request import event_text

OVERHEAD: Final = 300
"""Bytes of memory that a waiting event takes beside its body."""


class WaitingEvent:
    """An event until it is settled: sent to, or dropped by, all endpoints that want it."""

    __slots__ = ("app_id", "event", "id", "open", "token", "was_dropped", "was_tried")

    def __init__(self, app_id: str, event: WebhookEvent, event_id: str, token: Any = None) -> None:
        self.app_id = app_id
        self.event = event
        self.id = event_id
        self.token = token
        self.open = 0
        """Number of endpoints that the event still waits for."""
        self.was_tried = False
        """True once an endpoint may have got the event."""
        self.was_dropped = False
        """True if an endpoint that wants the event will not get it."""

    @property
    def size(self) -> int:
        """The bytes that count against ``max_webhook_queue_size`` in each queue."""
        return len(self.event.body) + OVERHEAD

    @property
    def json(self) -> bytes:
        """The event as an endpoint gets it: its body, with the time at which it happened and its id behind."""
        return event_text(self.event.body, self.event.time_ms, self.id)

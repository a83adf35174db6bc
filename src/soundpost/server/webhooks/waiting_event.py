"""An event on its way to the endpoints of its app."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from soundpost.core.webhooks import WebhookEvent
from soundpost.wire.webhook_request import event_text

OVERHEAD: Final = 300
"""Bytes of memory that a waiting event takes beside its body."""


class WaitingEvent(Struct, gc=False, eq=False):
    """An event until it is settled: sent to, or dropped by, all endpoints that want it.

    The garbage collector does not look at it, as it makes no cycle: 20,000 of them stopped the loop for twice as long.
    """

    app_id: str
    event: WebhookEvent
    id: str
    token: Any = None
    open: int = 0
    """Number of endpoints that the event still waits for."""
    was_tried: bool = False
    """True once an endpoint may have got the event."""
    was_dropped: bool = False
    """True if an endpoint that wants the event will not get it."""

    @property
    def size(self) -> int:
        """The bytes that count against ``max_webhook_queue_size`` in each queue."""
        return len(self.event.body) + OVERHEAD

    @property
    def json(self) -> bytes:
        """The event as an endpoint gets it: its body, with the time at which it happened and its id behind."""
        return event_text(self.event.body, self.event.time_ms, self.id)

"""Events by Dramatiq: ``configure(deliver="dramatiq")``; workers: ``dramatiq your.tasks soundpost.contrib.dramatiq``.

The actor ``soundpost.send`` belongs to the broker that is set (``dramatiq.set_broker``) when this module is imported:
in an application, when the first event is broadcast; in workers, after the modules named before it.
"""

from __future__ import annotations

from typing import Any, Final

import dramatiq

from soundpost.contrib.sending import MAX_BACKOFF, MAX_RETRIES, TASK, Payload, QueueDelivery, send

_SECOND: Final = 1000
"""One second in milliseconds."""


def _send(messages: Payload) -> None:
    """Send an event's messages."""
    send(messages)


send_messages: Any = dramatiq.actor(
    actor_name=TASK, max_retries=MAX_RETRIES, min_backoff=_SECOND, max_backoff=MAX_BACKOFF * _SECOND
)(_send)
"""The actor that sends an event's messages."""


class DramatiqDelivery(QueueDelivery):
    """A delivery into a Dramatiq queue: the named one, which an actor of yours must have, or ``default``."""

    library = "Dramatiq"

    def enqueue(self, payload: Payload, queue: str | None) -> None:
        """Put a message into a queue."""
        message = send_messages.message(payload)
        if queue is not None:
            send_messages.broker.declare_queue(queue)
            message = message.copy(queue_name=queue)
        send_messages.broker.enqueue(message)

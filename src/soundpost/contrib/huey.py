"""Events by Huey: ``configure(deliver="huey")``, and ``use(huey)`` in a module that application and consumer import.

A Huey instance is one queue: the queue that an event names has no effect.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from soundpost.contrib.sending import MAX_RETRIES, TASK, Payload, QueueDelivery, send
from soundpost.errors import ConfigurationError

_task: Any = None


def use(huey: Any) -> None:
    """Have this Huey instance carry events; call in the consumer too, which must know the task."""
    global _task
    _task = huey.task(name=TASK, retries=MAX_RETRIES, retry_delay=1, retry_backoff=2)(send_messages)


def send_messages(payload: Payload) -> None:
    """Send an event's messages: the task."""
    send(payload)


class HueyDelivery(QueueDelivery):
    """A delivery into the queue of the Huey instance in use; in Django, that of ``huey.contrib.djhuey``."""

    library = "Huey"
    hint: ClassVar[str] = "does its storage answer?"

    def enqueue(self, payload: Payload, queue: str | None) -> None:
        """Put a task into the queue."""
        if _task is None:
            django_huey = sys.modules.get("huey.contrib.djhuey")
            if django_huey is None:
                raise ConfigurationError(
                    "deliver 'huey' knows no Huey instance: call soundpost.contrib.huey.use(huey), in a module that "
                    "the consumer imports too"
                )
            use(django_huey.HUEY)
        _task(payload)

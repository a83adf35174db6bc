"""Events by the tasks of Django 6 (``django.tasks``), or of the backport ``django-tasks``: the default backend.

``configure(deliver="django-tasks")``; workers find the task by its module. Django does not retry a failed task; some
backends do.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from soundpost.contrib.sending import Payload, QueueDelivery, send
from soundpost.errors import ConfigurationError, QueueError


def _tasks() -> Any:
    for module in ("django.tasks", "django_tasks"):
        try:
            return import_module(module)
        except ImportError:
            continue
    raise ConfigurationError("deliver 'django-tasks' needs Django 6, or the backport: pip install django-tasks")


@_tasks().task()  # type: ignore[untyped-decorator]
def send_messages(messages: Payload) -> None:
    """Send an event's messages: the task."""
    send(messages)


class DjangoTasksDelivery(QueueDelivery):
    """A delivery into a queue of the default backend: the named one, which ``QUEUES`` must have, or ``default``."""

    library = "Django's task backend"
    hint: ClassVar[str] = "is the queue in QUEUES of TASKS, and is the backend there?"

    def enqueue(self, payload: Payload, queue: str | None) -> None:
        """Put a task into a queue."""
        task: Any = send_messages if queue is None else send_messages.using(queue_name=queue)
        result = task.enqueue(payload)
        if result.status == "FAILED":  # by a backend that runs tasks at once, and keeps their exceptions
            reason = result.errors[-1].traceback.strip().rpartition("\n")[2]
            raise QueueError(f"event {payload[0]['n']}: its task was run at once, and failed: {reason}")

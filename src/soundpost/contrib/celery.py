"""Events by Celery: ``configure(deliver="celery")``; workers get ``include=["soundpost.contrib.celery"]``.

The task ``soundpost.send`` is shared by all Celery apps. Events go to the one told to :func:`use`; otherwise to the
current one, or to the only one there is: what is current in a thread is not in the others, unless ``set_default()`` was
called.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from celery import _state, shared_task

from soundpost.contrib.sending import LONGEST_BACK_OFF, TASK, TRIES, Payload, QueueDelivery, send
from soundpost.errors import BroadcastError

_PUBLISH_RETRIES: Final = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
"""A request is not to wait for a broker that is away."""

_app: Any = None


def use(app: Any) -> None:
    """Have this Celery app carry events, in all threads."""
    global _app
    _app = app


def _send(messages: Payload) -> None:
    """Send an event's messages."""
    send(messages)


send_messages: Any = shared_task(
    name=TASK,
    serializer="json",
    ignore_result=True,
    acks_late=False,
    autoretry_for=(BroadcastError,),
    retry_backoff=True,
    retry_backoff_max=LONGEST_BACK_OFF,
    max_retries=TRIES,
)(_send)
"""The task."""


class CeleryDelivery(QueueDelivery):
    """Puts messages into a Celery queue: the one named, or the one that the app's routes say."""

    library = "Celery"
    way_out: ClassVar[str] = (
        "is its broker running, and is the module that makes your Celery app imported here? "
        "With several apps: soundpost.contrib.celery.use(app)"
    )

    def enqueue(self, payload: Payload, queue: str | None) -> None:
        """Put a task into a queue."""
        options = {} if queue is None else {"queue": queue}
        task = (_app or _found_app()).tasks[TASK]
        task.apply_async(args=[payload], retry=True, retry_policy=_PUBLISH_RETRIES, **options)


def _found_app() -> Any:
    current = _state.get_current_app()
    if current.main != "default":
        return current
    others = [app for app in _state._get_active_apps() if app is not current]  # `current` is Celery's stopgap
    return others[0] if len(others) == 1 else current

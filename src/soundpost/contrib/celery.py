"""Events by Celery: ``configure(deliver="celery")``; workers get ``include=["soundpost.contrib.celery"]``.

All Celery apps share the task ``soundpost.send``. Events go to the app given to :func:`use`, else to the current app,
else to the only app there is: an app is current in one thread only, unless ``set_default()`` was called.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from celery import _state, shared_task
from kombu.pools import ProducerPool

from soundpost.contrib.sending import MAX_BACKOFF, MAX_RETRIES, TASK, Payload, QueueDelivery, send
from soundpost.errors import BroadcastError
from soundpost.per_process import PerProcess

_PUBLISH_RETRIES: Final = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
"""Retries of putting a task into the queue, few, as a request waits for them."""
_TIMEOUTS: Final[dict[str, dict[str, Any]]] = {
    "redis": {"socket_connect_timeout": 1, "socket_timeout": 3},
    "amqp": {"connect_timeout": 3, "read_timeout": 3, "write_timeout": 3},
}
"""Seconds, by kind of broker, unless ``broker_transport_options`` set others: Celery itself sets no timeout."""
_PRODUCER_TIMEOUT: Final = 4
"""Seconds to wait for a producer that another thread uses."""
_pools: PerProcess[WeakKeyDictionary[Any, Any]] = PerProcess(WeakKeyDictionary)

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
    retry_backoff_max=MAX_BACKOFF,
    max_retries=MAX_RETRIES,
)(_send)
"""The task that sends an event's messages."""


class CeleryDelivery(QueueDelivery):
    """A delivery that puts messages into a Celery queue: the named one, or that of the app's routes."""

    library = "Celery"
    hint: ClassVar[str] = (
        "is its broker running, and is the module that makes your Celery app imported here? "
        "With several apps: soundpost.contrib.celery.use(app)"
    )

    def enqueue(self, payload: Payload, queue: str | None) -> None:
        """Put a task into a queue."""
        options = {} if queue is None else {"queue": queue}
        app = _app or _found_app()
        with _producers(app).acquire(block=True, timeout=_PRODUCER_TIMEOUT) as producer:
            policy = {**_PUBLISH_RETRIES, "errback": _raise_timeouts}
            app.tasks[TASK].apply_async(args=[payload], producer=producer, retry=True, retry_policy=policy, **options)


def _raise_timeouts(error: BaseException, interval: float) -> None:
    """Raise a timeout instead of retrying: a silent broker would be waited for again."""
    if "Timeout" in type(error).__name__:  # redis-py has a class of its own
        raise error


def _producers(app: Any) -> Any:
    """Return the pool of an app's producers in this process, which connect when they first publish."""
    pools = _pools()
    pool = pools.get(app)
    if pool is None:
        connection = app.connection_for_write()
        timeouts = _TIMEOUTS.get(connection.transport.driver_type)
        if timeouts is not None:
            options = {**timeouts, **app.conf.broker_transport_options}
            connection = app.connection_for_write(transport_options=options)
        limit = app.conf.broker_pool_limit
        pool = pools.setdefault(app, ProducerPool(connection.Pool(limit=limit), limit=limit))  # type: ignore[no-untyped-call]
    return pool


def _found_app() -> Any:
    current = _state.get_current_app()
    if current.main != "default":
        return current
    others = [app for app in _state._get_active_apps() if app is not current]  # `current` is Celery's stopgap
    return others[0] if len(others) == 1 else current

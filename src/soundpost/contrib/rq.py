"""Events by RQ: ``configure(deliver="rq")``, on the Redis of ``RQ_REDIS_URL`` or ``REDIS_URL``, or of :func:`use`.

Any RQ worker will do: ``rq worker default``. A job retries for some seconds while the server is away. RQ then runs the
job three times more, for which no scheduler is needed; :func:`use` takes another ``Retry``.
"""

from __future__ import annotations

import os
import time
from typing import Any, ClassVar, Final

from redis import Redis
from rq import Queue, Retry

from soundpost.contrib.sending import Payload, QueueDelivery, send
from soundpost.errors import BroadcastError, ConfigurationError

_BACKOFF: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the attempts of one run."""
_MAX_RUNS: Final = 4
_FAILED_JOB_TTL: Final = 7 * 24 * 3600
"""Seconds for which RQ keeps a failed job."""

_connection: Any = None
_retry: Any = Retry(max=_MAX_RUNS - 1)


def use(connection: Any, *, retry: Any = None) -> None:
    """Put jobs into the Redis of this connection.

    For example ``use(Redis.from_url(…))``, or ``use(django_rq.get_connection("default"))``.

    ``retry`` is RQ's ``Retry`` for all jobs; one with intervals needs ``rq worker --with-scheduler``.
    """
    global _connection, _retry
    _connection = connection
    if retry is not None:
        _retry = retry


def send_messages(payload: Payload) -> None:
    """Send an event's messages: the job. Raises BroadcastError when the server stays away."""
    for pause in _BACKOFF:
        try:
            send(payload)
        except BroadcastError:
            time.sleep(pause)
        else:
            return
    send(payload)


class RqDelivery(QueueDelivery):
    """A delivery that puts messages into an RQ queue: the named one, or ``default``."""

    library = "RQ"
    hint: ClassVar[str] = "is its Redis running, at RQ_REDIS_URL or as given to soundpost.contrib.rq.use(…)?"

    def enqueue(self, payload: Payload, queue: str | None) -> None:
        """Put a job into a queue."""
        Queue(queue or "default", connection=_redis()).enqueue(
            send_messages,
            payload,
            retry=_retry,
            result_ttl=0,
            failure_ttl=_FAILED_JOB_TTL,
            description=f"{payload[0]['n']} on {', '.join(payload[0]['c'][:3])}",
        )


def _redis() -> Any:
    global _connection
    if _connection is None:
        url = os.environ.get("RQ_REDIS_URL") or os.environ.get("REDIS_URL")
        if not url:
            raise ConfigurationError(
                "deliver 'rq' knows no Redis: set RQ_REDIS_URL (redis://127.0.0.1:6379/0), or call "
                "soundpost.contrib.rq.use(connection)"
            )
        _connection = Redis.from_url(url, socket_connect_timeout=1, socket_timeout=3)
    return _connection

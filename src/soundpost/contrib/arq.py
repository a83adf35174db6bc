"""Events by arq: ``configure(deliver="arq")``; the worker's functions have ``soundpost.contrib.arq.send_messages``.

Jobs go to the Redis of ``REDIS_URL``, or of :func:`use`. arq is asynchronous: one thread with an event loop of its own
puts jobs into the queue, for synchronous code and for all event loops of the process.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from typing import Any, ClassVar, Final

import arq
from arq.connections import ArqRedis, RedisSettings
from arq.worker import func

from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.contrib.sending import MAX_RETRIES, TASK, Payload, QueueDelivery, backoff, send
from soundpost.errors import BroadcastError, ConfigurationError
from soundpost.loop_thread import LoopThread
from soundpost.per_process import PerProcess

_ENQUEUE_TIMEOUT: Final = 4
"""Seconds for Redis to take a job; arq sets no timeout."""

_settings: Any = None


def use(settings: Any) -> None:
    """Put jobs into the Redis of these ``RedisSettings``."""
    global _settings
    _settings = settings


async def _send(context: dict[str, Any], payload: Payload) -> None:
    """Send an event's messages."""
    try:
        await asyncio.to_thread(send, payload)
    except BroadcastError as error:
        raise arq.Retry(defer=backoff(context["job_try"])) from error


send_messages: Any = func(_send, name=TASK, max_tries=MAX_RETRIES, keep_result=0)
"""The arq function that sends an event's messages, for ``functions`` of ``WorkerSettings``."""


class ArqDelivery(QueueDelivery):
    """A delivery that puts messages into an arq queue: the named one, or ``arq:queue``."""

    library = "arq"
    hint: ClassVar[str] = "is its Redis running, at REDIS_URL or as given to soundpost.contrib.arq.use(…)?"

    def __init__(self, drivers: Drivers) -> None:
        super().__init__(drivers)
        self._enqueue_thread = PerProcess(_EnqueueThread)

    def enqueue(self, payload: Payload, queue: str | None) -> None:
        """Put a job into a queue."""
        thread = self._enqueue_thread()
        thread.running().run(thread.enqueue(payload, queue))

    def close(self) -> None:
        """End the thread, which is started again when needed."""
        self._enqueue_thread().end()


class _EnqueueThread:
    """The thread of a process that puts jobs into the queue, and its connections to Redis."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._pool: ArqRedis | None = None

    def running(self) -> LoopThread:
        with self._lock:
            if self._thread is None:
                thread = LoopThread("soundpost-arq")
                thread.start()
                self._thread = thread
            return self._thread

    def end(self) -> None:
        with self._lock:
            thread, self._thread, self._pool = self._thread, None, None
        if thread is not None:
            thread.stop()

    async def enqueue(self, payload: Payload, queue: str | None) -> None:
        async with asyncio.timeout(_ENQUEUE_TIMEOUT):
            if self._pool is None:
                self._pool = await arq.create_pool(replace(_redis(), conn_retries=0))
            await self._pool.enqueue_job(TASK, payload, _queue_name=queue)


def _redis() -> RedisSettings:
    if _settings is not None:
        return _settings
    url = os.environ.get("REDIS_URL")
    if not url:
        raise ConfigurationError(
            "deliver 'arq' knows no Redis: set REDIS_URL (redis://127.0.0.1:6379/0), or call "
            "soundpost.contrib.arq.use(RedisSettings(…))"
        )
    return RedisSettings.from_dsn(url)

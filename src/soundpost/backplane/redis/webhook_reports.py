"""Events for webhooks that only this host knows, on their way to the logs in Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from soundpost.backplane.redis.buckets import bucket_of_event
from soundpost.backplane.redis.logged_events import arguments_of, repeated
from soundpost.backplane.redis.publish_queue import Publication, PublishQueue
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.webhook_scripts import ADD_EVENT
from soundpost.core.webhooks import WebhookEvent

MAX_BYTES: Final = 16 * 1024 * 1024
"""Bytes of memory that events may take which wait for Redis."""
_ADD: Final = ADD_EVENT.digest.encode()


class WebhookReports:
    """A :class:`soundpost.core.webhooks.WebhookLog` that adds events to the logs in Redis; without Redis they wait."""

    def __init__(self, redis: Redis, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._number = 0
        self._queue = PublishQueue(redis.publish, clock, max_bytes=MAX_BYTES, what="event(s) for webhooks")
        self._queue.take_back = _take_back
        self.shut = self._queue.shut

    def add(self, app_id: str, event: WebhookEvent) -> None:
        """Add an event, behind all that were added before."""
        self._number += 1
        event_id = b"%b-%d" % (self._redis.origin, self._number)
        self._queue.send(Publication(bucket_of_event(app_id, event), _ADD, arguments_of(event, event_id)), _nothing)

    def open(self) -> None:
        """Send what waits: Redis is up."""
        self._queue.open()

    def beat(self) -> None:
        """Send again what was refused."""
        if self._queue.flows and len(self._queue):
            self._queue.open()


def _take_back(publication: Publication) -> Publication:
    """Return what to send in place of an event that Redis may have taken."""
    return publication._replace(arguments=repeated(publication.arguments))


def _nothing(answer: Any) -> None:
    """Ignore an answer."""

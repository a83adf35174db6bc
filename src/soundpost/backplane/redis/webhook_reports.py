"""Events for webhooks that only this host knows, on their way to the logs in Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from soundpost.backplane.redis.bucket_commands import ignore_answer
from soundpost.backplane.redis.buckets import bucket_of_event
from soundpost.backplane.redis.logged_events import arguments_of, repeated
from soundpost.backplane.redis.message_fields import member_blob
from soundpost.backplane.redis.publish_queue import Publication, PublishQueue
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.webhook_scripts import ADD_EVENT
from soundpost.core import webhook_records
from soundpost.core.member import Member
from soundpost.core.webhooks import WebhookEvent

if TYPE_CHECKING:
    from soundpost.backplane.redis.app_entry import AppEntry

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
        self._send(app_id, event)

    def _send(self, app_id: str, event: WebhookEvent, *end: bytes) -> None:
        self._number += 1
        event_id = b"%b-%d" % (self._redis.origin, self._number)
        arguments = arguments_of(event, event_id, *end)
        self._queue.send(Publication(bucket_of_event(app_id, event), _ADD, arguments), ignore_answer)

    # While Redis is away no script can tell what begins. What lasts until Redis is back is told then, as this host
    # states it. What has ended meanwhile is told from here, both its beginning and its end.

    def occupied(self, entry: AppEntry, channel: str) -> None:
        """Note that a channel has a subscriber here, while Redis is away."""
        if b" channel_occupied " in entry.logged:
            self._send(entry.app.id, webhook_records.channel_event("channel_occupied", channel), b"channel_vacated")

    def added(self, entry: AppEntry, channel: str, member: Member, socket_id: str | None) -> None:
        """Note that a user is a member here, while Redis is away."""
        if b" member_added " in entry.logged:
            event = webhook_records.member_event("member_added", channel, member.id, member.info_json, socket_id)
            self._send(entry.app.id, event, b"member_removed", member_blob(member))

    def signed_in(self, entry: AppEntry, user_id: str, info_json: bytes) -> None:
        """Note that a user has its first connection here, while Redis is away."""
        if b" user_online " in entry.logged:
            self._send(entry.app.id, webhook_records.user_event("user_online", user_id, info_json), b"user_offline")

    def open(self) -> None:
        """Send waiting messages: Redis is up, and the other hosts have stated their data."""
        self._queue.open()

    def beat(self) -> None:
        """Send refused messages again."""
        if self._queue.flows and len(self._queue):
            self._queue.open()


def _take_back(publication: Publication) -> Publication:
    """Return what to send in place of an event that Redis may have taken."""
    return publication._replace(arguments=repeated(publication.arguments))

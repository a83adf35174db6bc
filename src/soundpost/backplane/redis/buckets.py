"""Buckets, into which the channels of an app are divided so that a Redis Cluster can spread them over its servers."""

from __future__ import annotations

import math
import zlib
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from soundpost.core.webhooks import WebhookEvent

BUCKETS: Final = 16
"""Number of buckets of each app."""
CONTROL: Final = b"nodes"
"""Bucket of the list of nodes, and of messages for all nodes."""


@lru_cache(maxsize=1_024)
def app_bucket(app_id: str) -> bytes:
    """Return the bucket of an app's number of connections."""
    return quote(app_id, safe="").encode()


def bucket_of(app_id: str, channel: str) -> bytes:
    """Return the bucket of a channel."""
    return b"%b:%d" % (app_bucket(app_id), zlib.crc32(channel.encode()) % BUCKETS)


def bucket_of_event(app_id: str, event: WebhookEvent) -> bytes:
    """Return the bucket whose log has an event for webhooks: that of its channel, or of its user if it has none.

    All events about connections are in one.
    """
    return bucket_of(app_id, event.channel or ("" if event.name.startswith("connection_") else event.user_id))


def all_buckets(app_id: str) -> list[bytes]:
    """Return all buckets of an app."""
    return [b"%b:%d" % (app_bucket(app_id), number) for number in range(BUCKETS)]


def bucket_limit(limit: int) -> int:
    """Return the number of channels that one bucket may keep an event of, if the app may keep ``limit``.

    A sixteenth, and four standard deviations of the number that chance gives a bucket, so that ``limit`` channels fit.
    """
    mean = limit / BUCKETS
    return math.ceil(mean + 4 * math.sqrt(mean))


def app_of(bucket: bytes) -> str:
    """Return the id of the app of a bucket."""
    return unquote(bucket.partition(b":")[0].decode())

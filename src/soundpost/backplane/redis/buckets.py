"""Parts that the channels of an app are in: as many places of a Redis Cluster one app can be spread over."""

from __future__ import annotations

import math
import zlib
from typing import Final
from urllib.parse import quote, unquote

BUCKETS: Final = 16
CONTROL: Final = b"nodes"
"""Where nodes are told of, and what is for all of them."""


def app_bucket(app_id: str) -> bytes:
    """Where an app's number of connections is."""
    return quote(app_id, safe="").encode()


def bucket_of(app_id: str, channel: str) -> bytes:
    """The bucket a channel is in."""
    return b"%b:%d" % (app_bucket(app_id), zlib.crc32(channel.encode()) % BUCKETS)


def all_buckets(app_id: str) -> list[bytes]:
    """The buckets of an app."""
    return [b"%b:%d" % (app_bucket(app_id), number) for number in range(BUCKETS)]


def bucket_limit(limit: int) -> int:
    """How many channels a bucket may keep something of if an app may of ``limit``: a sixteenth, and four standard
    deviations of what chance gives one bucket more than another, so that there is room for those ``limit``."""
    mean = limit / BUCKETS
    return math.ceil(mean + 4 * math.sqrt(mean))


def app_of(bucket: bytes) -> str:
    """The app a bucket is of."""
    return unquote(bucket.partition(b":")[0].decode())

"""Flood protection: useless messages are counted, and a client that sends too many is closed.

Control frames, tiny fragments of messages, and malformed messages count as junk. All other messages have limits of
their own.
"""

from __future__ import annotations

from typing import Final

from soundpost.core import presence_grace
from soundpost.core.connection import Connection
from soundpost.core.token_bucket import TokenBucket
from soundpost.log_throttle import MINUTE
from soundpost.wire import codes

MAX_JUNK: Final = 1_000
"""Control frames, tiny fragments and malformed messages that one connection may send in a minute."""
SMALL_FRAGMENT: Final = 16
"""Bytes below which a fragment counts as junk: no client library divides a message into parts so small."""


def takes_junk(connection: Connection) -> bool:
    """Count a control frame, fragment or malformed message as junk; return False if the client has sent too much.

    A client that exceeds :data:`MAX_JUNK` is closed with 4100: pusher-js comes back after a while.
    """
    now = connection.app.node.clock()
    if connection.junk_bucket is None:
        connection.junk_bucket = TokenBucket(MAX_JUNK, now)
    if connection.junk_bucket.take(MAX_JUNK, MINUTE, now):
        return True
    app = connection.app.settings
    connection.app.node.log_throttle.warn(
        f"flooding {app.id}",
        "app %s: closed socket %s from %s with 4100: more than %d control frames, tiny fragments or malformed messages "
        "within a minute. Further ones are not logged for a minute",
        app.id,
        connection.socket_id,
        connection.address,
        MAX_JUNK,
        interval=MINUTE,
    )
    connection.end(
        codes.OVER_CAPACITY,
        f"Over {MAX_JUNK} control frames, tiny fragments or malformed messages within a minute",
    )
    return False


def takes_rate_limited_junk(connection: Connection) -> bool:
    """Count a control frame or oversized message, as junk and against the rate limit; return False if over a limit."""
    return takes_junk(connection) and (not connection.app.is_rate_limited or within_rate(connection))


def count_fragment(connection: Connection, size: int) -> None:
    """Count a fragment of ``size`` bytes that does not end its message, as junk if tiny, and against the rate limit."""
    if size < SMALL_FRAGMENT and not takes_junk(connection):
        return
    if connection.app.is_rate_limited:
        within_rate(connection)


def within_rate(connection: Connection) -> bool:
    """Count a message against the app's rate limit. If the limit is exceeded, refuse or close, and return False."""
    limit = connection.app.settings.rate_limiting
    now = connection.app.node.clock()
    if connection.message_bucket is None:
        connection.message_bucket = TokenBucket(limit.max_attempts, now)
    if connection.message_bucket.take(limit.max_attempts, limit.decay_seconds, now):
        return True
    connection.send_error(codes.CLIENT_EVENT_REJECTED, "Rate limit exceeded")
    if limit.terminate_on_limit:
        # Not 4301: pusher-js takes 43xx as a close code for permanent.
        presence_grace.note_close(connection, codes.OVER_CAPACITY)
        connection.close(codes.OVER_CAPACITY, "Rate limit exceeded")
    return False

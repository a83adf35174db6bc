"""The channels that have subscribers on this host, bucket by bucket: nobody has to list all of them at once.

A list of 100,000 channels, and each look of the garbage collector at it, take some milliseconds of a loop turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from soundpost.backplane.redis.channel import SharedChannel


class OpenChannels:
    """The open channels of all apps, by topic."""

    def __init__(self) -> None:
        self._by_bucket: dict[bytes, dict[bytes, SharedChannel]] = {}

    def add(self, channel: SharedChannel) -> None:
        """Add a channel."""
        self._by_bucket.setdefault(_tag_of(channel.topic), {})[channel.topic] = channel

    def remove(self, channel: SharedChannel) -> None:
        """Remove a channel."""
        bucket = self._by_bucket[_tag_of(channel.topic)]
        del bucket[channel.topic]
        if not bucket:
            del self._by_bucket[_tag_of(channel.topic)]

    def of_topic(self, topic: bytes) -> SharedChannel | None:
        """Return the channel with a topic; None if it has no subscribers here."""
        bucket = self._by_bucket.get(_tag_of(topic))
        return None if bucket is None else bucket.get(topic)

    def of_bucket(self, topic: bytes) -> list[SharedChannel]:
        """Return all channels of the bucket that a topic belongs to."""
        return [*self._by_bucket.get(_tag_of(topic), {}).values()]

    def __iter__(self) -> Iterator[SharedChannel]:
        """Yield all channels, of which some may come and go meanwhile."""
        for bucket in [*self._by_bucket.values()]:
            yield from [*bucket.values()]


def _tag_of(topic: bytes) -> bytes:
    """Return the part of a topic that all topics of a bucket begin with, which ends at the first brace."""
    return topic.partition(b"}")[0]

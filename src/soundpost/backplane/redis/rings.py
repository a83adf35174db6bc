"""The memory that the histories of this host's channels take: bounded in number for each, in bytes for all."""

from __future__ import annotations

from soundpost.backplane.redis.kept_channel import KeptChannel
from soundpost.core.history import KeptEvent


class Rings:
    """The rings of all channels. ``max_size`` is in bytes; beyond it, the ring without news for longest is emptied.

    Events that a ring has forgotten are read from Redis.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self.size = 0
        """Bytes of all events."""
        self._by_news: dict[KeptChannel, None] = {}

    def add(self, kept: KeptChannel, event: KeptEvent) -> None:
        """Take an event into its channel's ring."""
        growth, _ = kept.ring.append(event, kept.rule.events)
        self.size += growth
        self._by_news.pop(kept, None)
        self._by_news[kept] = None
        while self.size > self._max_size:
            longest = next(iter(self._by_news))
            self.drop(longest, max(1, len(longest.ring.events) // 2))

    def begin(self, kept: KeptChannel, generation: str, offset: int) -> None:
        """Clear a channel's ring, and continue at an offset."""
        self.forget(kept)
        kept.begin(generation, offset)

    def drop(self, kept: KeptChannel, number: int) -> None:
        """Forget the oldest events of a channel."""
        if number:
            self.size -= kept.ring.drop_oldest(number, "number")
        if not kept.ring.events:
            self._by_news.pop(kept, None)

    def drop_expired(self, kept: KeptChannel, now: int) -> None:
        """Forget the events of a channel that are too old at a time in microseconds."""
        self.size -= kept.drop_expired(now)
        if not kept.ring.events:
            self._by_news.pop(kept, None)

    def forget(self, kept: KeptChannel) -> None:
        """Forget all events of a channel."""
        self.drop(kept, len(kept.ring.events))

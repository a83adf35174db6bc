"""Checks that this host has heard of every event: a topic may lose the last one, and no later one tells of it.

With each beat the host reads the last offset of each bucket that it has subscribers in. Where the offset has moved, the
host compares the last offsets of its channels. The answers come behind all that was published before them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.failures import EMPTIED
from soundpost.backplane.redis.generations import Generations
from soundpost.backplane.redis.redis import Redis
from soundpost.core.outbox import CallSoon
from soundpost.core.slices import in_slices
from soundpost.log_throttle import MINUTE, LogThrottle

log = logging.getLogger("soundpost.redis")

_AT_ONCE: Final = 2_000
"""Largest number of channels compared with one beat: some 0.5 ms of Redis."""


class HistoryChecks:
    """Compares what this host has heard with what Redis has. ``resync`` asks for a channel's whole state.

    ``call_soon`` is the loop's.
    """

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        redis: Redis,
        generations: Generations,
        resync: Callable[[SharedChannel], None],
        call_soon: CallSoon,
    ) -> None:
        self._apps = apps
        self._redis = redis
        self._generations = generations
        self._resync = resync
        self._call_soon = call_soon
        self._is_collecting = False
        self._throttle = LogThrottle(log)
        self._compared: dict[bytes, int] = {}
        """Last offset of each bucket when its channels were compared."""
        self._doubtful: dict[SharedChannel, None] = {}
        """Channels that are still to be compared."""

    def check(self) -> None:
        """Ask for the last offset of each bucket, over several loop turns. Called with each beat."""
        if self._is_collecting:
            return
        self._is_collecting = True
        buckets: dict[bytes, list[SharedChannel]] = {}

        def collect(channel: SharedChannel) -> None:
            if _is_followed(channel):
                buckets.setdefault(channel.bucket, []).append(channel)

        def ask() -> None:
            self._is_collecting = False
            for bucket, channels in buckets.items():
                tag = self._redis.tag(bucket)
                self._redis.send(bucket, ("MGET", tag + b":gen", tag + b":top"), partial(self._moved, bucket, channels))
            self._compare()

        entries = [entry for entry in self._apps.values() if entry.history_rules]
        channels = [channel for entry in entries for channel in entry.channels.values()]
        in_slices(channels, collect, self._call_soon, then=ask)

    def _moved(self, bucket: bytes, channels: list[SharedChannel], answer: Any) -> None:
        if not isinstance(answer, list):
            return
        generation, top = answer
        if generation is None or top is None:
            self._redis.reconnect(EMPTIED)
            return
        last = int(top)
        is_new = generation.decode() != self._generations.by_bucket.get(bucket)
        self._generations.by_bucket[bucket], self._generations.tops[bucket] = generation.decode(), last
        for channel in channels:
            kept = channel.history
            if kept is None or not _is_followed(channel):
                continue
            if kept.last > last and not is_new:
                self._throttle.warn(
                    "ahead",
                    "Redis has no event of %s of app %s at %s, which this host has heard of: somebody else publishes "
                    "on our topics, or Redis has lost events. Clients are told of a gap",
                    channel.name,
                    channel.app_id,
                    kept.head,
                    interval=MINUTE,
                )
            if is_new or kept.last > last:
                self._resync(channel)
        if self._compared.get(bucket) != last:
            self._compared[bucket] = last
            self._doubtful.update(dict.fromkeys(channels))

    def _compare(self) -> None:
        """Compare the last offsets of some channels."""
        buckets: dict[bytes, list[SharedChannel]] = {}
        for channel in list(islice(self._doubtful, _AT_ONCE)):
            del self._doubtful[channel]
            if _is_followed(channel):
                buckets.setdefault(channel.bucket, []).append(channel)
        for bucket, channels in buckets.items():
            start = self._redis.tag(bucket) + b":l:"
            keys = [start + channel.name.encode() for channel in channels]
            self._redis.send(bucket, ("MGET", *keys), partial(self._compared_with, channels))

    def _compared_with(self, channels: Iterable[SharedChannel], answer: Any) -> None:
        if not isinstance(answer, list):
            return
        for channel, last in zip(channels, answer, strict=True):
            kept = channel.history
            if last is not None and kept is not None and _is_followed(channel) and int(last.split()[0]) > kept.last:
                log.debug("a message about %s of app %s is missing: reading it", channel.name, channel.app_id)
                self._resync(channel)


def _is_followed(channel: SharedChannel) -> bool:
    """Return whether this host follows a channel's history, and is not just reading it."""
    return channel.history is not None and bool(channel.history.generation) and not channel.history.reading

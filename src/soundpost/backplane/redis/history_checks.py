"""Checks that this host has heard of every event: a topic may lose the last one, and no later one tells of it.

With each beat the host reads the last offset of each bucket that it has subscribers in. Where the offset has moved, the
host compares the last offsets of its channels. The answers come behind all that was published before them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from soundpost.backplane.redis.bucket_commands import BucketCommands
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.failures import EMPTIED
from soundpost.backplane.redis.generations import Generations
from soundpost.backplane.redis.open_channels import OpenChannels
from soundpost.core.outbox import CallSoon
from soundpost.core.slices import in_slices
from soundpost.log_throttle import MINUTE, LogThrottle

log = logging.getLogger("soundpost.redis")

_AT_ONCE: Final = 2_000
"""Largest number of channels compared with one beat."""
_PART: Final = 200
"""Largest number of channels compared by one command: some 0.3 ms of this host and less of Redis."""


class HistoryChecks:
    """Compares what this host has heard with what Redis has. ``resync`` asks for a channel's whole state.

    ``followed`` are the buckets in which this host follows histories. ``call_soon`` is the loop's.
    """

    def __init__(
        self,
        redis: BucketCommands,
        generations: Generations,
        followed: Iterable[bytes],
        opened: OpenChannels,
        resync: Callable[[SharedChannel], None],
        call_soon: CallSoon,
    ) -> None:
        self._redis = redis
        self._generations = generations
        self._followed = followed
        self._opened = opened
        self._resync = resync
        self._call_soon = call_soon
        self._throttle = LogThrottle(log)
        self._compared: dict[bytes, int] = {}
        """Last offset of each bucket when its channels were compared, or began to be."""
        self._doubtful: dict[bytes, None] = {}
        """Buckets whose channels are still to be compared."""
        self._comparing: list[SharedChannel] = []
        """Channels of one bucket that are still to be compared."""

    def check(self) -> None:
        """Ask for the last offset of each bucket. Called with each beat."""
        for bucket in self._followed:
            if bucket in self._generations.by_bucket:
                tag = self._redis.tag(bucket)
                self._redis.send(bucket, ("MGET", tag + b":gen", tag + b":top"), partial(self._moved, bucket))
        in_slices(self._doubtful_parts(), self._compare, self._call_soon)

    def _moved(self, bucket: bytes, answer: Any) -> None:
        if not isinstance(answer, list):
            return
        generation, top = answer
        if generation is None or top is None:
            self._redis.reconnect(EMPTIED)
            return
        last, heard = int(top), self._generations.top(bucket)
        is_new = generation.decode() != self._generations.by_bucket.get(bucket)
        self._generations.by_bucket[bucket], self._generations.tops[bucket] = generation.decode(), last
        if is_new or heard > last:
            resync = partial(self._resync_if_ahead, last, is_new)
            in_slices(self._channels_of(bucket), resync, self._call_soon)
        if self._compared.get(bucket) != last:
            self._compared[bucket] = last
            self._doubtful[bucket] = None

    def _channels_of(self, bucket: bytes) -> list[SharedChannel]:
        return self._opened.of_bucket(self._redis.topic(bucket, ""))

    def _resync_if_ahead(self, last: int, is_new: bool, channel: SharedChannel) -> None:
        """Ask for the state of a channel whose events Redis has lost: its generation is another, or ends earlier."""
        kept = channel.history
        if kept is None or not _is_followed(channel):
            return
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

    def _doubtful_parts(self) -> Iterator[list[SharedChannel]]:
        """Take the channels that are to be compared now, each part of one bucket."""
        left = _AT_ONCE
        while left > 0 and (self._comparing or self._doubtful):
            if not self._comparing:
                bucket = next(iter(self._doubtful))
                del self._doubtful[bucket]
                self._comparing = self._channels_of(bucket)
            size = min(left, _PART)
            some = self._comparing[-size:]
            del self._comparing[-size:]
            left -= len(some)
            yield some

    def _compare(self, some: list[SharedChannel]) -> None:
        """Compare the last offsets of some channels of a bucket."""
        channels = [channel for channel in some if _is_followed(channel)]
        if channels:
            bucket = channels[0].bucket
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

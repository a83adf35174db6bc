"""Generations of histories in Redis: each server's life and each set of rules has its own.

A server that is promoted may lack the last events, one that starts again or was emptied lacks all. What it keeps from
then on is of another generation, so positions of before are known as such. The life is the server's replication id,
which is new after a promotion and after a restart, and which no data can carry from one server to another.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Final

import hiredis

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import all_buckets
from soundpost.backplane.redis.history_scripts import TAKE
from soundpost.backplane.redis.redis import Redis
from soundpost.core.app_settings import AppSettings

log = logging.getLogger("soundpost.redis")

_REPLICATION_ID: Final = re.compile(rb"^master_replid:([0-9a-f]{40})\r?$", re.MULTILINE)
_RUN_ID: Final = re.compile(rb"^run_id:([0-9a-f]{40})\r?$", re.MULTILINE)
_POLICY: Final = re.compile(rb"^maxmemory_policy:([a-z-]+)\r?$", re.MULTILINE)


class Generations:
    """The generation and the last offset of each bucket, as last heard."""

    def __init__(self, apps: Mapping[str, AppEntry], redis: Redis) -> None:
        self._apps = apps
        self._redis = redis
        self.of_this_host: Final = f"h{os.urandom(5).hex()}"
        """Generation of buckets while Redis has not told theirs: this host has been cut off since it began."""
        self.by_bucket: dict[bytes, str] = {}
        self.tops: dict[bytes, int] = {}
        """Offsets up to which this host has heard of all events of a bucket."""
        self.evicts: dict[bytes, bool] = {}
        """True for buckets on a server that forgets keys when its memory is full."""
        self._lives: dict[bytes, bytes] = {}
        """Life of the server that each bucket was on."""
        self.adopt = False
        """True once another host has begun other generations: the next connection takes these, and begins none."""

    def of(self, bucket: bytes) -> str:
        """Return the generation of a bucket; one of this host alone while none was heard of."""
        return self.by_bucket.get(bucket) or self.of_this_host

    def top(self, bucket: bytes) -> int:
        """Return the last offset of a bucket that was heard of."""
        return self.tops.get(bucket, 0)

    def head(self, bucket: bytes) -> str:
        """Return the position behind all events of a bucket that were heard of."""
        return f"{self.of(bucket)}.{self.top(bucket)}"

    def heard(self, bucket: bytes, generation: str, top: int) -> None:
        """Note the generation and the last offset of a bucket."""
        if self.by_bucket.get(bucket) != generation:
            self.by_bucket[bucket] = generation
            self.tops[bucket] = top
        elif top > self.tops.get(bucket, 0):
            self.tops[bucket] = top

    async def take(self, app_ids: Iterable[str] | None = None, renew: Collection[bytes] = ()) -> None:
        """Take the generations of all buckets of some apps with history, of all apps if none are named.

        Buckets to ``renew`` begin another one. Raise ConnectionError or ReplyError.
        """
        lives: dict[object, tuple[bytes, bool]] = {}
        adopt, self.adopt = int(self.adopt), False
        for app_id in list(self._apps if app_ids is None else app_ids):
            app = self._apps[app_id].app
            if not app.history:
                continue
            for bucket in all_buckets(app_id):
                server = self._redis.server_of(bucket)
                if server not in lives:
                    lives[server] = await self._life(bucket)
                life, self.evicts[bucket] = lives[server]
                if bucket in renew:
                    await self._redis.ask(bucket, "DEL", self._redis.tag(bucket) + b":gen")
                source = life + _rules(app)
                generation, top, began = await self._redis.ask_script(TAKE, bucket, source, adopt)
                if not adopt and self._comes_late(bucket, life, began):
                    await self._redis.ask(bucket, "DEL", self._redis.tag(bucket) + b":gen")
                    generation, top, _ = await self._redis.ask_script(TAKE, bucket, source, adopt)
                self._lives[bucket] = life
                self.by_bucket[bucket], self.tops[bucket] = generation.decode(), int(top)

    def _comes_late(self, bucket: bytes, life: bytes, began: bytes | None) -> bool:
        """Return whether this host has heard of events on a former master while others were on the new one already.

        The other hosts have begun a generation, and their clients lack the events: another generation tells them so.
        The masters' clocks must be right for that.
        """
        if began is None or self._lives.get(bucket, life) == life:
            return False
        return self.tops.get(bucket, 0) > int(began)

    async def _life(self, bucket: bytes) -> tuple[bytes, bool]:
        """Return what names the life of a bucket's server, and whether it forgets keys when its memory is full."""
        try:
            replication = await self._redis.ask(bucket, "INFO", "replication")
            found = _REPLICATION_ID.search(replication) or _RUN_ID.search(
                await self._redis.ask(bucket, "INFO", "server")
            )
            policy = _POLICY.search(await self._redis.ask(bucket, "INFO", "memory"))
        except hiredis.ReplyError as error:
            log.warning(
                "Redis does not let this host read INFO, so this host cannot know whether Redis has lost events. Each "
                "new connection to Redis is a gap in all histories. Give the Redis user the right to INFO: %s",
                error,
            )
            return _unknown_life(), True
        evicts = policy is not None and policy[1] != b"noeviction"
        if evicts and policy is not None:
            log.warning(
                "Redis forgets keys when its memory is full (maxmemory-policy %s), and kept events with them: clients "
                "are then told of gaps. Give it 'CONFIG SET maxmemory-policy noeviction', and the same line in "
                "redis.conf",
                policy[1].decode(),
            )
        return found[1] if found is not None else _unknown_life(), evicts


def _unknown_life() -> bytes:
    """Return a name of a life that Redis does not tell: each is new, and TAKE knows them by the x."""
    return b"x" + os.urandom(20).hex()[1:].encode()


def _rules(app: AppSettings) -> bytes:
    """Return a digest of the channels with history: events of channels that had none before are not kept."""
    patterns = sorted({pattern for rule in app.history for pattern in rule.channels})
    return blake2b("\0".join(patterns).encode(), digest_size=4).hexdigest().encode()

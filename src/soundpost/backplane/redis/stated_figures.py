"""The figures that hosts state to each other in Redis, each under a key that expires."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import hiredis

from soundpost.backplane.redis.bucket_commands import ignore_answer
from soundpost.backplane.redis.buckets import CONTROL

if TYPE_CHECKING:
    from soundpost.backplane.redis.redis import Redis

LASTS: Final = 15
"""Seconds after which the figures of a host that states none any more are forgotten."""
_TIME_TO_ANSWER: Final = 2.0
_LARGEST: Final = 4 * 1_048_576
"""Bytes of the figures of one host; larger ones are not stated: Redis does nothing else while it takes them."""


class StatedFigures:
    """Figures of this host in Redis, and those of the other hosts.

    A sorted set has the hosts with the time of their last statement, in milliseconds of Redis' clock.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._is_stated = False

    def state(self, figures: bytes) -> None:
        """State the figures of this host, for the next :data:`LASTS` seconds."""
        if len(figures) > _LARGEST or not self._redis.up:
            return
        self._is_stated = True
        key, origin = self._key(self._redis.origin), self._redis.origin
        self._send("SET", key, figures, "EX", LASTS)
        self._send("ZADD", self._hosts, self._redis.milliseconds, origin)
        self._send("EXPIRE", self._hosts, LASTS)

    def withdraw(self) -> None:
        """Take the figures of this host back."""
        if self._is_stated:
            self._send("DEL", self._key(self._redis.origin))
            self._send("ZREM", self._hosts, self._redis.origin)

    async def of_others(self) -> list[bytes]:
        """Return the statements of the other hosts; nothing while Redis cannot be reached."""
        with suppress(ConnectionError, TimeoutError, hiredis.ReplyError):
            async with asyncio.timeout(_TIME_TO_ANSWER):
                since = self._redis.milliseconds - LASTS * 1000
                await self._redis.ask(CONTROL, "ZREMRANGEBYSCORE", self._hosts, "-inf", since)
                hosts = await self._redis.ask(CONTROL, "ZRANGE", self._hosts, 0, -1)
                others = [self._key(host) for host in hosts if host != self._redis.origin]
                found = await self._redis.ask(CONTROL, "MGET", *others) if others else []
                return [each for each in found if isinstance(each, bytes)]
        return []

    @property
    def _hosts(self) -> bytes:
        return self._redis.tag(CONTROL) + b":hosts"

    def _key(self, origin: bytes) -> bytes:
        return self._redis.tag(CONTROL) + b":figures:" + origin

    def _send(self, *command: str | bytes | int) -> None:
        self._redis.send(CONTROL, command, ignore_answer)

"""Leases of nodes in Redis, and the removal of all that an expired node has stated.

A node renews its lease with each beat. When the lease has ended, the node is expired, and one of the others removes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.node_scripts import BEAT, REGISTER
from soundpost.backplane.redis.observer_events import Change
from soundpost.backplane.redis.scripts import Script
from soundpost.backplane.redis.subscription_scripts import REMOVE_NODE
from soundpost.backplane.redis.user_scripts import REMOVE_USERS

log = logging.getLogger("soundpost.redis")

LEASE: Final = 10.0
"""Seconds after its last beat that a node is expired."""
_AT_ONCE: Final = 200
"""Channels and members taken out by one script: Redis does nothing else meanwhile, for some 3 ms."""
_USERS_AT_ONCE: Final = 500
"""Signed-in users taken out by one script."""


class Commands(Protocol):
    """Commands to Redis that are awaited. Both raise ConnectionError and hiredis.ReplyError."""

    def tag(self, bucket: bytes) -> bytes:
        """Return the hash tag of a bucket."""

    async def ask(self, bucket: bytes, *command: str | bytes | int) -> Any:
        """Send a command to the server of a bucket and return its answer."""

    async def ask_script(self, script: Script, bucket: bytes, *arguments: str | bytes | int, node: bytes = b"") -> Any:
        """Run a script on a bucket's keys, for this node or another one, and return its answer."""


class Leases:
    """The lease of this node, and the removals of expired nodes that it takes on."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._tasks: set[asyncio.Task[None]] = set()
        self.count_announcement: Callable[[bytes], str]
        """Return when a changed subscription count of a bucket is announced; see :mod:`.subscription_scripts`."""
        self.on_changes: Callable[[bytes, list[Change]], None]
        """Take the changes that a removal made in a bucket."""

    async def register(self) -> None:
        """Announce this node, which is about to state what it has: without a beat within a lease it is expired."""
        await self._commands.ask_script(REGISTER, CONTROL, int(LEASE * 1000))

    async def beat(self) -> tuple[bool, int, dict[bytes, int]]:
        """Renew this node's lease, and begin to remove expired nodes.

        Return whether this node was unknown, Redis' time, and the end of the lease of each living node; times are in
        milliseconds.
        """
        is_new, now, expired, living = await self._commands.ask_script(BEAT, CONTROL, int(LEASE * 1000))
        for node in expired:
            self.begin_removal(node)
        return bool(is_new), int(now), dict(zip(living[::2], map(_milliseconds, living[1::2]), strict=True))

    def begin_removal(self, node: bytes, buckets: Iterable[bytes] = ()) -> None:
        """Remove an expired node in a task of its own."""
        task = asyncio.ensure_future(self._remove_expired(node, buckets))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Stop all removals; other nodes take them on after a lease."""
        for task in self._tasks:
            task.cancel()

    async def remove_at_once(self, node: bytes, buckets: Iterable[bytes]) -> None:
        """Remove a node that ends by itself, and forget it. Raise as :class:`Commands` does."""
        await self._remove(node, buckets)
        await self._forget(node)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("an expired node could not be removed; another host will: %s", task.exception())

    async def _remove_expired(self, node: bytes, buckets: Iterable[bytes]) -> None:
        """Remove a node whose connection is gone.

        Commands that it had sent may still be on their way, so the node stays among the expired for another lease, as
        long as there was something to take out.
        """
        if await self._remove(node, buckets):
            await self._commands.ask_script(REGISTER, CONTROL, int(LEASE * 1000), node=node)
            await self._commands.ask(CONTROL, "ZREM", self._commands.tag(CONTROL) + b":nodes", node)
        else:
            await self._forget(node)

    async def _remove(self, node: bytes, buckets: Iterable[bytes]) -> bool:
        """Take out all that a node had stated, in the given buckets and in those it noted in Redis.

        Return whether there was anything.
        """
        commands = self._commands
        found = 0
        noted = await commands.ask(CONTROL, "SMEMBERS", commands.tag(CONTROL) + b":buckets:" + node)
        for bucket in {*buckets, *noted}:
            found += await commands.ask(bucket, "HDEL", commands.tag(bucket) + b":connections", node)
            left = 1
            while left:
                announcement = self.count_announcement(bucket)
                taken, left, changes = await commands.ask_script(REMOVE_NODE, bucket, announcement, _AT_ONCE, node=node)
                found += taken
                self.on_changes(bucket, changes)
            taken = _USERS_AT_ONCE
            while taken == _USERS_AT_ONCE:
                taken = await commands.ask_script(REMOVE_USERS, bucket, _USERS_AT_ONCE, node=node)
                found += taken
        return found > 0

    async def _forget(self, node: bytes) -> None:
        tag = self._commands.tag(CONTROL)
        await self._commands.ask(CONTROL, "DEL", tag + b":buckets:" + node)
        await self._commands.ask(CONTROL, "ZREM", tag + b":expired", node)
        await self._commands.ask(CONTROL, "ZREM", tag + b":nodes", node)


def _milliseconds(score: float | bytes) -> int:
    return int(float(score))

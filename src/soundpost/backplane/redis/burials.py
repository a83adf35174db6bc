"""Leases of nodes in Redis, and burials: the removal of all that a dead node had stated.

A node renews its lease with each beat. When the lease ends, one of the other nodes buries it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.observer_events import Change
from soundpost.backplane.redis.scripts import BEAT, BURY, REGISTER, Script
from soundpost.backplane.redis.user_scripts import BURY_USERS

log = logging.getLogger("soundpost.redis")

LEASE: Final = 10.0
"""Seconds after its last beat that a node is taken for dead."""
_CHANNELS_AT_ONCE: Final = 200
"""Channels taken out by one script: Redis does nothing else meanwhile."""
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


class Burials:
    """The lease of this node, and the burials that it takes on."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._tasks: set[asyncio.Task[None]] = set()
        self.count_announcement: Callable[[bytes], str]
        """Return when a changed subscription count of a bucket is announced; see :mod:`.scripts`."""
        self.on_changes: Callable[[bytes, list[Change]], None]
        """Take the changes that a burial made in a bucket."""

    async def register(self) -> None:
        """Announce this node, which is about to state what it has: without a beat within a lease it is buried."""
        await self._commands.ask_script(REGISTER, CONTROL, int(LEASE * 1000))

    async def beat(self) -> tuple[bool, int, dict[bytes, int]]:
        """Renew this node's lease, and begin to bury dead nodes.

        Return whether this node was unknown, Redis' time, and the end of the lease of each living node; times are in
        milliseconds.
        """
        is_new, now, dead, living = await self._commands.ask_script(BEAT, CONTROL, int(LEASE * 1000))
        for node in dead:
            self.begin(node)
        return bool(is_new), int(now), dict(zip(living[::2], map(_milliseconds, living[1::2]), strict=True))

    def begin(self, node: bytes, buckets: Iterable[bytes] = ()) -> None:
        """Bury a dead node in a task of its own."""
        task = asyncio.ensure_future(self._bury_dead(node, buckets))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Stop all burials; other nodes take them on when the lease of the grave has ended."""
        for task in self._tasks:
            task.cancel()

    async def bury_at_once(self, node: bytes, buckets: Iterable[bytes]) -> None:
        """Bury a node that ends by itself, and close its grave. Raise as :class:`Commands` does."""
        await self._bury(node, buckets)
        await self._close_grave(node)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("a dead node could not be buried; another host will: %s", task.exception())

    async def _bury_dead(self, node: bytes, buckets: Iterable[bytes]) -> None:
        """Bury a node whose connection is gone.

        Commands that it had sent may still be on their way, so its grave stays open for another lease, as long as there
        was something to take out.
        """
        if await self._bury(node, buckets):
            await self._commands.ask_script(REGISTER, CONTROL, int(LEASE * 1000), node=node)
            await self._commands.ask(CONTROL, "ZREM", self._commands.tag(CONTROL) + b":nodes", node)
        else:
            await self._close_grave(node)

    async def _bury(self, node: bytes, buckets: Iterable[bytes]) -> bool:
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
                taken, left, changes = await commands.ask_script(
                    BURY, bucket, announcement, _CHANNELS_AT_ONCE, node=node
                )
                found += taken
                self.on_changes(bucket, changes)
            taken = _USERS_AT_ONCE
            while taken == _USERS_AT_ONCE:
                taken = await commands.ask_script(BURY_USERS, bucket, _USERS_AT_ONCE, node=node)
                found += taken
        return found > 0

    async def _close_grave(self, node: bytes) -> None:
        tag = self._commands.tag(CONTROL)
        await self._commands.ask(CONTROL, "DEL", tag + b":buckets:" + node)
        await self._commands.ask(CONTROL, "ZREM", tag + b":graves", node)
        await self._commands.ask(CONTROL, "ZREM", tag + b":nodes", node)


def _milliseconds(score: float | bytes) -> int:
    return int(float(score))

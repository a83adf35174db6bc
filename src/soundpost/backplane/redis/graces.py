"""The ends of members' graces in Redis: any living host ends graces that are over, also those of dead hosts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.grace_scripts import DUE_GRACES, LINGER_ALL, NOTE_GRACE, SWEEP
from soundpost.backplane.redis.leases import LEASE, Commands
from soundpost.backplane.redis.observer_events import Change
from soundpost.backplane.redis.user_scripts import STAY_ALL, SWEEP_USERS
from soundpost.core.presence_grace import RECONNECT_GRACE

log = logging.getLogger("soundpost.redis")

_USERS_AT_ONCE: Final = 200
"""Users whose graces one script begins or ends: Redis does nothing else meanwhile, for some 2 ms."""
_SIGNED_IN_AT_ONCE: Final = 500
"""Signed-in users whose graces one script begins or ends."""
_MAX_NOTED: Final = 1_000
_LATE: Final = 0.005  # seconds after a grace is over that it is looked for


class CallLater(Protocol):
    """A loop's ``call_later``."""

    def __call__(self, delay: float, callback: Callable[[], Any], /) -> asyncio.TimerHandle:
        """Call back after some seconds."""


class Graces:
    """The graces in Redis as one host sees to their ends."""

    def __init__(self, commands: Commands, call_later: CallLater) -> None:
        self._commands = commands
        self._call_later = call_later
        self._noted: set[tuple[bytes, int]] = set()  # bucket and second of ends that were noted
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.on_changes: Callable[[bytes, list[Change]], None]
        """Take the changes that ends of graces made in a bucket."""

    def note(self, bucket: bytes, seconds: float) -> None:
        """Note in Redis the seconds until a grace in a bucket is over, for any host that is alive then."""
        # One note for a second is enough: a sweep notes what it finds too early.
        noted = bucket, int(asyncio.get_running_loop().time() + seconds)
        if noted not in self._noted:
            if len(self._noted) >= _MAX_NOTED:
                self._noted.clear()
            self._noted.add(noted)
            self._begin(self._note_once(noted, bucket, int(seconds * 1000)))

    async def begin_all(self, buckets: Iterable[bytes], seconds: float = RECONNECT_GRACE) -> None:
        """Let all members of this node stay for some seconds: it is about to end. Raise as :class:`Commands` does."""
        milliseconds = int(seconds * 1000)
        for bucket in buckets:
            start, channels, users = 0, 1, 0
            while start < channels:
                some = milliseconds, start, _USERS_AT_ONCE
                start, channels, more = await self._commands.ask_script(LINGER_ALL, bucket, *some)
                users += more
            start, signed_in = 0, 1
            while start < signed_in:
                end = start + _SIGNED_IN_AT_ONCE
                signed_in = await self._commands.ask_script(STAY_ALL, bucket, milliseconds, start, end)
                start = end
            if users or signed_in:
                await self._note(bucket, milliseconds)

    def begin_sweep(self, buckets: Iterable[bytes] = ()) -> None:
        """End the graces that are over, in a task of its own."""
        self._begin(self.sweep(tuple(buckets)))

    async def sweep(self, buckets: Iterable[bytes] = ()) -> None:
        """End the graces that are over: those that are noted, and all in some buckets.

        A grace is not noted if its host died over it. Raise as :class:`Commands` does.
        """
        due, wait = await self._commands.ask_script(DUE_GRACES, CONTROL, int(LEASE * 1000))
        for note in due:
            await self._sweep(note.rpartition(b" ")[0])
            await self._commands.ask(CONTROL, "ZREM", self._commands.tag(CONTROL) + b":lingering", note)
        for bucket in buckets:
            await self._sweep(bucket)
        if wait >= 0:
            self._wake_in(wait)

    async def _sweep(self, bucket: bytes) -> None:
        removed, wait = _USERS_AT_ONCE, -1
        while removed == _USERS_AT_ONCE:
            removed, wait, changes = await self._commands.ask_script(SWEEP, bucket, _USERS_AT_ONCE)
            self.on_changes(bucket, changes)
        ended, signed_in_wait = _SIGNED_IN_AT_ONCE, -1
        while ended == _SIGNED_IN_AT_ONCE:
            ended, signed_in_wait = await self._commands.ask_script(SWEEP_USERS, bucket, _SIGNED_IN_AT_ONCE)
        waits = [each for each in (wait, signed_in_wait) if each >= 0]
        if waits:
            await self._note(bucket, min(waits))

    def cancel(self) -> None:
        """Stop ending graces, as Redis is away or this node ends: other hosts do that."""
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _note_once(self, noted: tuple[bytes, int], bucket: bytes, milliseconds: int) -> None:
        try:
            await self._note(bucket, milliseconds)
        except BaseException:
            self._noted.discard(noted)
            raise

    async def _note(self, bucket: bytes, milliseconds: int) -> None:
        self._wake_in(await self._commands.ask_script(NOTE_GRACE, CONTROL, milliseconds, bucket))

    def _wake_in(self, milliseconds: int) -> None:
        """Sweep after a number of milliseconds, or earlier."""
        loop = asyncio.get_running_loop()
        seconds = milliseconds / 1000 + _LATE
        if self._timer is not None and not self._timer.cancelled():
            if loop.time() < self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = self._call_later(seconds, self.begin_sweep)

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("graces of members could not be ended; the next round does: %s", task.exception())

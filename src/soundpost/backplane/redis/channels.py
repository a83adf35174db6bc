"""The channels that have subscribers on this host, kept in step with Redis.

This host subscribes to a channel's topic first, and then asks for the channel's whole state. Messages and answers come
in the order of what happened in Redis, so the messages after the answer are changes to the state. Each change has a
version number; if one is missing, the whole state is asked for again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import bucket_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.counts import Counts, ReportChanges
from soundpost.backplane.redis.history import Histories
from soundpost.backplane.redis.member_statements import MemberStatements
from soundpost.backplane.redis.message_fields import member_of
from soundpost.backplane.redis.open_channels import OpenChannels
from soundpost.backplane.redis.received import event_fault
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.statements import state_in_slices
from soundpost.core.member import Member
from soundpost.core.outbox import CallSoon
from soundpost.core.slices import TurnBudget
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.wire.positions import with_position

log = logging.getLogger("soundpost.redis")


class Channels:
    """Opens channels, keeps them in step, closes them. ``clock`` is in seconds, ``call_soon`` is the loop's."""

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        redis: Redis,
        histories: Histories,
        counts: Counts,
        report_changes: ReportChanges,
        clock: Callable[[], float],
        call_soon: CallSoon,
    ) -> None:
        self._apps = apps
        self._redis = redis
        self._histories = histories
        histories.resync = self.sync
        self._counts = counts
        counts.ensure_stated = self.ensure_stated
        self._report_changes = report_changes
        self._clock = clock
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self.turns = TurnBudget(call_soon, lambda: self.turn_clock())
        """Time of each loop turn for lists of members: those of Redis, and those that clients get."""
        self._statements = MemberStatements(redis, self.turns, report_changes)
        self._changes_meanwhile: dict[SharedChannel, deque[Callable[[], None]]] = {}
        """Changes of channels that are taking over their members, over several loop turns."""
        self.opened = OpenChannels()
        self._throttle = LogThrottle(log, clock)

    def open(self, entry: AppEntry, name: str) -> SharedChannel:
        """Open a channel for its first subscriber; :meth:`sync` must follow, unless Redis is away."""
        bucket = bucket_of(entry.app.id, name)
        channel = SharedChannel(entry.app.id, name, bucket, self._redis.topic(bucket, name), entry.occupancy)
        self._histories.open(entry, channel)
        entry.channels[name] = channel
        entry.occupancy.occupied(name)
        self.opened.add(channel)
        return channel

    def close_if_empty(self, entry: AppEntry, channel: SharedChannel) -> None:
        """Close a channel that has no subscribers here any more, and none on their way."""
        if channel.is_wanted:
            return
        if entry.channels.of(channel.name) is channel:
            del entry.channels[channel.name]
            self.opened.remove(channel)
            entry.occupancy.vacated(channel.name)
            self._histories.leave(channel)
            self._redis.unsubscribe(channel.bucket, channel.topic)
            self._counts.state_closed(channel)

    def ensure_stated(self, channel: SharedChannel, user_id: str | None = None) -> bool:
        """State a channel that is still to be stated to a Redis that is back: what is asked next follows behind that.

        Of very many members only ``user_id`` has surely been stated then. Return False if Redis cannot be told now: it
        is away, or a connection is being prepared.
        """
        if not self._redis.up or self._redis.is_connecting:
            return False
        if channel.stated_by != self._redis.node:
            self.sync(channel)
        if user_id is not None:
            self._statements.ensure_stated(channel, user_id)
        return True

    def sync(self, channel: SharedChannel, begin_after: str = "", then: Callable[[], None] | None = None) -> None:
        """State all that this host has of a channel, and ask for the channel's whole state.

        ``begin_after``: position from which the first subscriber reads the channel's history. ``then`` is called when
        Redis has answered, or is away.
        """
        channel.stated_by = self._redis.node
        channel.syncing = channel.is_stated = True
        self._redis.subscribe(channel.bucket, channel.topic)
        self._histories.sync(channel, begin_after)
        waiting = Counter([user_id for user_id, _ in channel.waiting or ()])
        users = [  # others ask one by one: the channel may be full
            user_id
            for user_id, (_, connections) in channel.own_members.items()
            if connections > waiting.get(user_id, 0)
        ]
        announce = self._counts.announcement(channel)
        self._statements.sync(channel, users, announce, partial(self._synced, channel, then))

    def _synced(self, channel: SharedChannel, then: Callable[[], None] | None, answer: Any) -> None:
        if then is not None:
            then()
        if not isinstance(answer, list):
            self.turns.do(partial(self._resume_without_redis, channel))
            return
        if self._waits_for_members(channel, partial(self._synced, channel, None, answer)):
            return
        entry = self._apps[channel.app_id]
        last, version, changes, members, milliseconds = answer
        self._report_changes(entry.app.id, changes)
        if not self._is_open(channel):
            return
        channel.syncing = False
        channel.version = int(version)
        known, _, frame = (last or b"").partition(b" ")
        if frame and event_fault(frame, channel.name, entry.largest_frame) is None:
            frame = _with_place(frame, known.partition(b"@")[2], channel)
            until = self._clock() + max(0, milliseconds) / 1000
            self._histories.after_reading(channel, partial(channel.keep, frame, until))
        self._changes_meanwhile[channel] = deque()
        steps = channel.replacing_members(_readable(members, channel))
        self.turns.each(steps, lambda _: None, then=partial(self._has_members, channel))

    def _waits_for_members(self, channel: SharedChannel, change: Callable[[], None]) -> bool:
        """Keep a change for later if the channel is just taking its members over; return whether it is."""
        waiting = self._changes_meanwhile.get(channel)
        if waiting is None:
            return False
        waiting.append(change)
        return True

    def _has_members(self, channel: SharedChannel) -> None:
        """Make the changes that came while a channel took over its members, then run the joins that waited."""
        waiting = self._changes_meanwhile.pop(channel)
        while waiting:
            waiting.popleft()()
            if channel in self._changes_meanwhile:  # the channel takes its members over again: the rest follows
                self._changes_meanwhile[channel] += waiting
                return
        if self._is_open(channel):
            self.resume(channel)

    def _is_open(self, channel: SharedChannel) -> bool:
        return self._apps[channel.app_id].channels.of(channel.name) is channel

    def resume(self, channel: SharedChannel) -> None:
        """Run the joins that waited for Redis, which has answered or is away; some in each loop turn."""
        if channel.is_resuming:
            return
        channel.is_resuming = True

        def joins() -> Iterator[Callable[[], None]]:  # others may come meanwhile
            while channel.waiting:
                yield channel.waiting.popleft()[1]

        def run(join: Callable[[], None]) -> None:
            try:
                join()
            except Exception:
                log.exception("a subscription to %s of app %s could not be resumed", channel.name, channel.app_id)

        def end() -> None:
            channel.waiting, channel.is_resuming = None, False
            self.close_if_empty(self._apps[channel.app_id], channel)

        # A join of a channel with 10,000 members makes a list of 700 kB: 20 joins took 20 ms.
        self.turns.each(joins(), run, then=end)

    def apply_change(self, channel: SharedChannel, version: int, apply: Callable[[], None]) -> None:
        """Apply a change to a channel's members or last event, unless its version is known already."""
        if self._waits_for_members(channel, partial(self.apply_change, channel, version, apply)):
            return
        if channel.syncing or version <= channel.version:
            return  # part of an answer that came, or is to come
        if channel.version and version > channel.version + 1:
            self._throttle.warn(
                "missing",
                "a message about %s of app %s is missing: asking anew",
                channel.name,
                channel.app_id,
                interval=MINUTE,
            )
            self.sync(channel)
            return
        channel.version = version
        apply()

    async def sync_all(self) -> None:
        """State all channels, some in each loop turn: Redis is up, and knows nothing of this host."""
        await state_in_slices(self.opened, self._state, self.turn_clock)

    def _state(self, channel: SharedChannel, then: Callable[[], None]) -> bool:
        """State a channel unless it has been stated, or closed; tell whether it was stated now."""
        if channel.stated_by == self._redis.node or not self._is_open(channel):
            return False
        self.sync(channel, then=then)
        return True

    def resume_all(self) -> None:
        """Run all joins that wait for Redis, which is away; some in each loop turn."""
        self.turns.each(self.opened, self._resume_without_redis)

    def _resume_without_redis(self, channel: SharedChannel) -> None:
        """Run the joins of a channel, unless Redis is back: then it is asked about the channel."""
        if channel.waiting is not None and self._is_open(channel) and not self._redis.up:
            self.resume(channel)


def _with_place(frame: bytes, offset: bytes, channel: SharedChannel) -> bytes:
    """Return the frame of a last event with its position, if the channel's history has it."""
    if not offset or channel.history is None or not channel.history.generation:
        return frame
    return with_position(frame, f"{channel.history.generation}.{int(offset)}")


def _readable(blobs: list[bytes], channel: SharedChannel) -> Iterator[Member]:
    """Yield the members of a channel from Redis, without unreadable ones: somebody else has written there."""
    for blob in blobs:
        try:
            yield member_of(blob)
        except ValueError:
            log.warning("Redis has a member of %s of app %s that cannot be read", channel.name, channel.app_id)

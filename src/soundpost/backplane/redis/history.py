"""Histories in Redis, as this host hears of their events and delivers them.

An event gets its position from Redis, in the step that publishes it, and comes to the publishing host's own clients by
the topic too: so all hosts have one order. Each event names the one before it; where that is not the last one that this
host delivered, the host reads what is missing before it goes on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import hiredis

from soundpost.backplane.redis import topic_messages
from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.generations import Generations
from soundpost.backplane.redis.history_publishing import HistoryPublishing
from soundpost.backplane.redis.history_reads import (
    HistoryReads,
    Piece,
    ReadRequest,
    StoredEvent,
    event_with_id,
    placed_event,
)
from soundpost.backplane.redis.kept_channel import KeptChannel
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.rings import Rings
from soundpost.core.slices import in_slices
from soundpost.wire.positions import parse_position, with_position

_REMEMBERED: Final = 1_000
"""Number of ids of delivered events that are remembered at least."""
GAP_SPREAD: Final = 5.0
"""Seconds over which the subscribers of all channels are told that a generation has ended: they fetch data anew."""


class Histories:
    """The histories of the channels that this host has subscribers of.

    ``max_size`` bounds the bytes of events that this host keeps in memory. ``clock`` is in seconds, ``call_later`` is
    the loop's.
    """

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        redis: Redis,
        *,
        max_size: int,
        clock: Callable[[], float],
        call_later: Callable[..., object],
    ) -> None:
        self._apps = apps
        self._redis = redis
        self._call_later = call_later
        self.generations = Generations(apps, redis)
        self.publishing = HistoryPublishing(apps, redis, self.generations, clock=clock, call_later=call_later)
        self.reads = HistoryReads(redis, call_later, self.generations.evicts, lambda: self.publishing.may_wait)
        self.rings = Rings(max_size)
        self.followed: dict[bytes, int] = {}
        """Number of channels in each bucket whose histories this host follows."""
        self._delivered = set[str]()
        """Ids of the last events that came from Redis and that subscribers here were given. An event comes again if
        Redis has lost it, and the answer to its publisher too."""
        self._delivered_before = set[str]()
        """Ids of as many earlier events."""
        self.resync: Callable[[SharedChannel], None]
        """Ask for a channel's whole state, which calls :meth:`sync`."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_housekeeping = False

    # Topics

    def receive(self, channel: SharedChannel, event: topic_messages.HistoryMessage) -> bytes:
        """Deliver an event that came by the topic; return its frame with its position."""
        self.publishing.came(event.id)
        kept = channel.history
        if self.generations.by_bucket.get(channel.bucket) == event.generation:
            self.generations.heard(channel.bucket, event.generation, event.offset)
        if kept is None or not kept.generation:  # this host does not follow the history, or not yet
            frame = with_position(event.frame, f"{event.generation}.{event.offset}")
            if not self._was_given(channel, event.id):
                self._note_delivered(event.id)
                channel.deliver(frame, event.except_socket_id)
            return frame
        if not kept.reading:  # else the answer has it
            if event.generation != kept.generation or event.before > kept.last:
                self.resync(channel)
            elif event.offset > kept.last:
                stored = StoredEvent(event.offset, event.id, event.except_socket_id, event.frame, False)
                return self._place(channel, kept, stored)
        return with_position(event.frame, f"{event.generation}.{event.offset}")

    def forget_delivered(self, channel: SharedChannel) -> None:
        """Forget the events of a channel whose history is to be deleted once Redis is back, a kept last one too."""
        if channel.history is not None:
            channel.forget()
            self.rings.forget(channel.history)
            channel.history.ring.floor = max(channel.history.ring.floor, channel.history.last)

    def receive_deletion(self, channel: SharedChannel, deleted: topic_messages.HistoryDeleted) -> None:
        """Forget the events of a channel whose history was deleted."""
        kept = channel.history
        self.reads.forget(channel.app_id, channel.name)
        if kept is not None and kept.generation == deleted.generation:
            offset = min(deleted.offset, kept.last)
            self.rings.drop(kept, kept.ring.index_after(offset))
            kept.ring.floor = max(kept.ring.floor, offset)
            if not kept.reading and deleted.offset > kept.last:  # a deleted event has not come here
                self.resync(channel)

    def receive_skip(self, channel: SharedChannel, skipped: topic_messages.HistorySkipped) -> None:
        """Forget the events of a channel of which an event was not kept."""
        kept = channel.history
        self.reads.forget(channel.app_id, channel.name)
        if kept is None or kept.generation != skipped.generation or kept.reading:
            return
        self.generations.heard(channel.bucket, skipped.generation, skipped.offset)
        if skipped.before > kept.last:
            self.resync(channel)
        elif skipped.offset > kept.last:
            self.rings.forget(kept)
            kept.last = kept.ring.floor = skipped.offset

    def receive_mark(self, channel: SharedChannel, marked: topic_messages.HistoryMarked) -> None:
        """Insert the id into the frame of an event that some clients were given without its position."""
        kept = channel.history
        self.reads.forget(channel.app_id, channel.name)
        if kept is None or kept.generation != marked.generation:
            return
        index = kept.ring.index_after(marked.offset) - 1
        if index >= 0 and kept.ring.events[index].offset == marked.offset:
            marked_event = event_with_id(kept.ring.events[index], kept.generation, marked.id)
            self.rings.size += kept.ring.replace_frame(index, marked_event.frame)

    def _place(self, channel: SharedChannel, kept: KeptChannel, event: StoredEvent, deliver: bool = True) -> bytes:
        """Take an event into the ring, and deliver it unless the clients here have it; return its placed frame."""
        was_given = self._was_given(channel, event.id)
        placed = placed_event(event, kept.generation, was_given)
        is_new_here = deliver and not was_given
        if is_new_here:
            self._note_delivered(event.id)
            self.broadcast_gap(channel)  # first: its position is before the event, which clients would drop otherwise
        kept.last = event.offset
        self.rings.add(kept, placed)
        if is_new_here:
            channel.deliver_kept(placed.frame, event.except_socket_id)
        return placed.frame

    def _was_given(self, channel: SharedChannel, event_id: str) -> bool:
        """Return whether subscribers here had an event before Redis placed it, or before Redis lost it."""
        if event_id in channel.given:
            channel.given -= {event_id}
            return True
        if channel.history is not None and channel.history.unplaced.pop(event_id, None) is not None:
            return True
        return event_id in self._delivered or event_id in self._delivered_before

    def _note_delivered(self, event_id: str) -> None:
        self._delivered.add(event_id)
        if len(self._delivered) >= _REMEMBERED:
            self._delivered_before, self._delivered = self._delivered, set()

    def after_reading(self, channel: SharedChannel, then: Callable[[], None]) -> None:
        """Call back once this host has delivered all it reads of a channel's history; at once without a read."""
        kept = channel.history
        if kept is not None and kept.reading and kept.generation:
            kept.when_read = then
        else:
            then()

    # In step with Redis

    def open(self, entry: AppEntry, channel: SharedChannel) -> None:
        """Begin to follow the history of a channel that has its first subscriber, if it keeps one."""
        rule = entry.history_rules.of(channel.name)
        if rule is not None:
            channel.history = KeptChannel(channel.name, rule)
            self.followed[channel.bucket] = self.followed.get(channel.bucket, 0) + 1
            channel.history.unplaced = self.publishing.put_by_of(channel)

    def leave(self, channel: SharedChannel) -> None:
        """Forget a channel that has no subscribers here any more."""
        self.publishing.put_by(channel)
        self.close(channel)

    def close(self, channel: SharedChannel) -> None:
        """End the history of a channel here."""
        if channel.history is not None:
            self.rings.forget(channel.history)
            channel.given = channel.given.union(channel.history.unplaced)
            channel.history = None
            self.followed[channel.bucket] -= 1
            if not self.followed[channel.bucket]:
                del self.followed[channel.bucket]

    def sync(self, channel: SharedChannel, begin_after: str = "") -> None:
        """Read what this host has not delivered yet; the channel's topic must be subscribed to.

        ``begin_after``: position from which the ring of a new channel begins, as its first subscriber wants it.
        """
        kept = channel.history
        if kept is None:
            return
        kept.reading = True
        if kept.generation == self.generations.of_this_host:  # Redis was away when the first subscriber came
            self.rings.begin(kept, self.generations.of(channel.bucket), self.generations.top(channel.bucket))
            kept.gap = "generation"
        if kept.generation:
            self._read_on(channel, kept, ReadRequest(kept.generation, kept.last, past_gap=True), False)
        elif begin_after:
            position = parse_position(begin_after)
            self._read_on(channel, kept, ReadRequest(position.generation, position.offset), True)
        else:
            self._read_on(channel, kept, ReadRequest(max_events=0), True)

    def _read_on(self, channel: SharedChannel, kept: KeptChannel, request: ReadRequest, is_new: bool) -> None:
        entry = self._apps[channel.app_id]
        self.reads.ask(entry, channel.name, request, partial(self._read, channel, kept, request, is_new))

    def _read(
        self, channel: SharedChannel, kept: KeptChannel, request: ReadRequest, is_new: bool, piece: Piece | None
    ) -> None:
        if piece is None or channel.history is not kept:
            return  # Redis is away and the next connection begins anew, or the channel is closed
        if kept.generation not in ("", request.generation):
            if kept.reading:  # a subscriber needed a generation meanwhile: read on from there
                self.sync(channel)
            return
        self.generations.heard(channel.bucket, piece.generation, piece.top)
        if request.after is None or (is_new and (piece.gap is not None or piece.more)):
            self.rings.begin(kept, piece.generation, piece.top)
            kept.reading = False
            return
        if piece.gap is not None and kept.generation == request.generation and kept.last > request.after:
            return  # asked for twice: the other answer has delivered what this one lacks, or is still reading on
        if piece.gap is not None:  # go on with what is kept behind it
            self.rings.begin(kept, piece.generation, piece.events[0].offset - 1 if piece.events else piece.top)
            kept.gap = piece.gap
            self.reads.forget(channel.app_id, channel.name)
        elif not kept.generation:
            kept.begin(request.generation, request.after)
        for event in piece.events:
            if event.offset > kept.last:
                self.publishing.came(event.id)
                self._place(channel, kept, event, deliver=not is_new and event.offset > kept.new_after)
        if piece.more:
            self._read_on(channel, kept, ReadRequest(kept.generation, kept.last, past_gap=not is_new), is_new)
        else:
            kept.last = max(kept.last, piece.top)  # whatever comes next is after that
            kept.reading, kept.new_after = False, 0
            self._lose(channel, kept)
            then, kept.when_read = kept.when_read, None
            if then is not None:
                then()

    def _lose(self, channel: SharedChannel, kept: KeptChannel) -> None:
        """Have the subscribers of a channel told of a gap: after a while if all channels have one, else at once."""
        if kept.gap == "generation":
            self._call_later(random.uniform(0, GAP_SPREAD), self.broadcast_gap, channel)
        else:
            self.broadcast_gap(channel)

    def broadcast_gap(self, channel: SharedChannel) -> None:
        """Tell the subscribers of a channel of a gap, if there is one they have not been told of."""
        kept = channel.history
        if kept is not None and kept.gap is not None:
            reason, kept.gap = kept.gap, None
            for node in channel.shares:
                node.lose_history(channel.app_id, channel.name, reason, kept.head)

    async def prepare(self) -> None:
        """Take the generations of all histories: this host is connected. Raise as :meth:`Generations.take` does."""
        adopt, lost, self.publishing.lost = self.generations.adopt, self.publishing.lost, set()
        try:
            await self.generations.take(renew=lost)
        except BaseException:  # the next connection does it
            self.generations.adopt |= adopt
            self.publishing.lost |= lost
            raise

    def reconfigure(self, entry: AppEntry) -> None:
        """Follow other channels' histories: the app has other settings."""

        def follow(channel: SharedChannel) -> None:
            rule = entry.history_rules.of(channel.name)
            if rule is None:
                self.close(channel)
                self.publishing.release(channel)
            elif channel.history is not None:
                channel.history.rule = rule
            elif entry.channels.of(channel.name) is channel:
                self.open(entry, channel)

        def take_anew() -> None:
            task = asyncio.ensure_future(self._take_anew(entry))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        in_slices(entry.channels.each_value(), follow, self._call_soon, then=take_anew)

    async def _take_anew(self, entry: AppEntry) -> None:
        try:
            await self.generations.take([entry.app.id])
        except ConnectionError:
            return  # the next connection takes them
        except hiredis.ReplyError as error:
            self._redis.reconnect(str(error))
            return

        def resync(channel: SharedChannel) -> None:
            if channel.history is not None:
                self.resync(channel)

        in_slices(entry.channels.each_value(), resync, self._call_soon)

    def housekeep(self, channels: Iterable[SharedChannel]) -> None:
        """Forget events of channels that are too old, of some channels in each loop turn."""

        def each() -> Iterator[SharedChannel]:
            self._is_housekeeping = True
            try:
                yield from channels
            finally:  # if one fails, the next housekeeping begins again
                self._is_housekeeping = False

        def drop_expired(channel: SharedChannel) -> None:
            if channel.history is not None:
                self.rings.drop_expired(channel.history, now)

        if not self._is_housekeeping:
            now = microseconds()
            in_slices(each(), drop_expired, self._call_soon, clock=lambda: self.publishing.turn_clock())

    def _call_soon(self, callback: Callable[[], None]) -> None:
        self._call_later(0, callback)


def microseconds() -> int:
    """Return the time of day in microseconds since 1970."""
    return time.time_ns() // 1_000

"""Answers about histories: the place of a subscriber, pages of events, the end of a history.

What this host has delivered is answered at once. Only what lies before that is asked of Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import bucket_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.history import Histories, microseconds
from soundpost.backplane.redis.history_reads import Piece, ReadRequest, placed_events
from soundpost.backplane.redis.history_scripts import DELETE, SKIP
from soundpost.backplane.redis.kept_channel import KeptChannel
from soundpost.backplane.redis.publish_queue import Publication
from soundpost.backplane.redis.redis import Redis
from soundpost.core.history import GapReason, HistoryPage, HistoryRequest, HistoryState
from soundpost.core.peers import ChannelSnapshot, HistoryDeletion, HistoryQuery
from soundpost.wire.positions import LOST_POSITION, Position, parse_position

_DELETE: Final = DELETE.digest.encode()
_SKIP: Final = SKIP.digest.encode()
_CLOCKS: Final = 1_000
"""Milliseconds by which the clocks of Redis' servers may differ."""


def begin_after(request: HistoryRequest | None) -> str:
    """Return the position from which a subscriber reads; empty if it reads nothing."""
    if request is None or request.limited or request.after == LOST_POSITION:
        return ""
    return request.after


class HistoryAnswers:
    """Answers questions about the histories of this host's apps."""

    def __init__(self, redis: Redis, histories: Histories) -> None:
        self._redis = redis
        self._histories = histories

    # Subscribers

    def snapshot(
        self,
        entry: AppEntry,
        channel: SharedChannel,
        request: HistoryRequest | None,
        clock: Callable[[], float],
        then: Callable[[ChannelSnapshot], None],
    ) -> None:
        """Answer the state that a subscriber is sent, with its place in the history if it asks for one."""
        if channel.history is not None and not self._redis.up:  # what other hosts publish meanwhile comes later
            self._prepare(channel, channel.history)
        if request is None or channel.history is None:
            then(channel.snapshot(clock()))
            return

        def placed(state: HistoryState) -> None:
            then(channel.snapshot(clock())._replace(history=state))

        self.state(entry, channel, request, clock, placed)

    def state(
        self,
        entry: AppEntry,
        channel: SharedChannel,
        request: HistoryRequest,
        clock: Callable[[], float],
        then: Callable[[HistoryState], None],
    ) -> None:
        """Answer the place of a subscriber in a channel's history."""
        kept = channel.history
        assert kept is not None
        fresh = partial(self._fresh, entry, channel, kept, clock, then)
        self._prepare(channel, kept)
        if request.limited:
            fresh("limited")
        elif request.after == LOST_POSITION:
            fresh("unknown")
        elif request.after:
            self._state_after(entry, channel, kept, request.after, fresh, then)
        elif request.rewind:
            self._state_before(entry, channel, kept, request.rewind, fresh, then)
        else:
            fresh(None)

    def _fresh(
        self,
        entry: AppEntry,
        channel: SharedChannel,
        kept: KeptChannel,
        clock: Callable[[], float],
        then: Callable[[HistoryState], None],
        gap: GapReason | None,
    ) -> None:
        """Answer the place of a subscriber who begins with new events, or with a cache channel's last event.

        After a gap the last event comes from the history, which knows the sender and leaves the sender out.
        """
        before = kept.before_last(channel.last_at(clock()))
        if before is None:
            then(kept.fresh(gap))
            return
        position = f"{kept.generation}.{before}"
        if gap is None or gap == "limited":
            then(HistoryState(position, gap))  # the last event follows, so the position is the one before it
            return

        def answered(following: int | GapReason) -> None:
            then(HistoryState(position, gap, following if isinstance(following, int) else 0))

        self._count_following(entry, channel, kept, parse_position(position), answered)

    def _prepare(self, channel: SharedChannel, kept: KeptChannel) -> None:
        """Make a channel ready for answers: its subscribers know of every gap, and it has a generation."""
        self._histories.broadcast_gap(channel)
        self._histories.rings.drop_expired(kept, microseconds())
        if not kept.generation:  # Redis has been away since the channel's first subscriber came
            generations = self._histories.generations
            kept.begin(generations.of(channel.bucket), generations.top(channel.bucket))
            kept.new_after = (self._redis.milliseconds - _CLOCKS) * 1_000

    def _covers(self, channel: SharedChannel, kept: KeptChannel, generation: str, offset: int) -> bool:
        """Return whether all events after a place are here, or will be delivered to everybody."""
        if not self._redis.up:  # later events are read when Redis is back
            return generation == kept.generation and offset >= kept.ring.floor
        top = 0 if kept.reading else self._histories.generations.top(channel.bucket)
        return kept.covers(generation, offset, top)

    def _state_after(
        self,
        entry: AppEntry,
        channel: SharedChannel,
        kept: KeptChannel,
        after: str,
        fresh: Callable[[GapReason | None], None],
        then: Callable[[HistoryState], None],
    ) -> None:
        def answered(following: int | GapReason) -> None:
            if isinstance(following, int):
                then(HistoryState(after, None, following))
            else:
                fresh(following)

        self._count_following(entry, channel, kept, parse_position(after), answered)

    def _count_following(
        self,
        entry: AppEntry,
        channel: SharedChannel,
        kept: KeptChannel,
        position: Position,
        then: Callable[[int | GapReason], None],
    ) -> None:
        """Answer the number of events that a subscriber is given after a position; or why some are missing."""
        generation, offset = position
        if self._covers(channel, kept, generation, offset):
            kept.new_after = min(kept.new_after, offset)
            then(kept.following(offset))
            return

        def answered(piece: Piece | None) -> None:
            self._prepare(channel, kept)
            gap = _gap_of(piece, kept)
            if piece is None and self._covers(channel, kept, generation, offset):  # as it is now that Redis is away
                then(kept.following(offset))
            elif piece is None or gap is not None:
                then(gap or "unknown")
            else:
                events = [event for event in piece.events if event.offset <= kept.last]
                behind = events[-1].offset if events else offset
                then(len(events) + kept.following(behind))

        self._histories.reads.ask_together(entry, channel.name, ReadRequest(generation, offset), answered)

    def _state_before(
        self,
        entry: AppEntry,
        channel: SharedChannel,
        kept: KeptChannel,
        number: int,
        fresh: Callable[[GapReason | None], None],
        then: Callable[[HistoryState], None],
    ) -> None:
        """Answer the place before the last events."""
        if len(kept.ring.events) >= number:
            then(kept.rewound(number))
            return

        def answered(piece: Piece | None) -> None:
            self._prepare(channel, kept)
            if piece is not None and piece.events and piece.generation == kept.generation:
                before = piece.events[0].offset - 1
                then(HistoryState(f"{kept.generation}.{before}", None, piece.more))
            elif piece is None and kept.ring.events:
                then(kept.rewound(len(kept.ring.events)))
            else:
                fresh(None)

        self._histories.reads.ask_with_retries(entry, channel.name, ReadRequest(rewind=number), answered)

    # Pages

    def page(self, entry: AppEntry, query: HistoryQuery, then: Callable[[HistoryPage], None]) -> None:
        """Answer kept events after a position."""
        channel = entry.channels.of(query.channel)
        kept = None if channel is None else channel.history
        generation, offset = parse_position(query.after) if query.after else ("", None)
        if query.delivered and channel is not None and kept is not None and offset is not None:
            self._prepare(channel, kept)
            if self._covers(channel, kept, generation, offset):
                then(kept.page(offset, query.most, query.max_bytes))
            else:
                delivered = partial(self._delivered_page, channel, kept, query, then)
                self._histories.reads.ask_together(entry, query.channel, ReadRequest(generation, offset), delivered)
            return
        request = ReadRequest(generation, offset, 0, query.most, query.max_bytes, query.newest_first)
        self._histories.reads.ask_with_retries(
            entry, query.channel, request, partial(self._stored_page, entry, query, then)
        )

    def _delivered_page(
        self,
        channel: SharedChannel,
        kept: KeptChannel,
        query: HistoryQuery,
        then: Callable[[HistoryPage], None],
        piece: Piece | None,
    ) -> None:
        self._prepare(channel, kept)
        generation, offset = parse_position(query.after)
        gap = _gap_of(piece, kept)
        if piece is None and self._covers(channel, kept, generation, offset):
            then(kept.page(offset, query.most, query.max_bytes))
        elif piece is None or gap is not None:
            then(HistoryPage(kept.head, kept.without_place(), True, gap))
        else:
            then(kept.page_of(placed_events(piece), offset, bool(piece.more), piece.top))

    def _stored_page(
        self, entry: AppEntry, query: HistoryQuery, then: Callable[[HistoryPage], None], piece: Piece | None
    ) -> None:
        if piece is None:  # Redis is away: what this host has delivered may be a part only
            channel = entry.channels.of(query.channel)
            head = self.head(entry, query.channel)
            kept = None if channel is None or query.after else channel.history
            events = [] if kept is None else kept.ring.events[:]
            newest = events[::-1] if query.newest_first else events
            then(HistoryPage(head, newest[: query.most], True, "unknown"))
            return
        head = f"{piece.generation}.{piece.top}"
        events = placed_events(piece)
        if events and not query.newest_first and piece.more:
            head = f"{piece.generation}.{events[-1].offset}"
        then(HistoryPage(head, events, not piece.more, piece.gap))

    def head(self, entry: AppEntry, channel: str) -> str:
        """Return the position behind all events of a channel that this host has heard of."""
        return self._histories.generations.head(bucket_of(entry.app.id, channel))

    def delete(self, entry: AppEntry, deletion: HistoryDeletion, then: Callable[[str], None]) -> None:
        """Delete a channel's history; answer the position behind the last event."""
        bucket = bucket_of(entry.app.id, deletion.channel)
        channel, queue = entry.channels.of(deletion.channel), self._histories.publishing.queue
        if channel is not None and not queue.flows:
            self._histories.forget_delivered(channel)
        publication = Publication(bucket, _DELETE, (deletion.channel.encode(),))
        queue.send(publication, lambda sent: then(self.head(entry, deletion.channel)))

    def note_unkept(self, app_id: str, channel: str) -> None:
        """Note that a channel's event is not kept. A client that resumes from an earlier position gets a gap."""
        publication = Publication(bucket_of(app_id, channel), _SKIP, (channel.encode(),))
        self._histories.publishing.queue.send(publication, lambda sent: None)


def _gap_of(piece: Piece | None, kept: KeptChannel) -> GapReason | None:
    """Return the reason why a piece does not lead to what a channel has here; None if it does."""
    if piece is None:
        return "unknown"
    if piece.gap is None and piece.generation != kept.generation:  # an answer that was remembered
        return "generation"
    return piece.gap

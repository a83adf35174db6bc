"""The histories of one process: the kept events of all channels of all apps, bounded in number, age and bytes."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from math import inf
from typing import Final

import msgspec

from soundpost.backplane import history_handover
from soundpost.backplane.app_history import AppHistory
from soundpost.backplane.channel_history import ChannelHistory, first_of
from soundpost.backplane.expiry_queue import ExpiryQueue
from soundpost.backplane.kept_events import EVENT_SIZE
from soundpost.core.app_settings import AppSettings, HistorySettings
from soundpost.core.history import GapReason, HistoryPage, HistoryRequest, HistoryState, KeptEvent
from soundpost.core.peers import HistoryQuery, OutgoingEvent
from soundpost.wire.positions import LOST_POSITION, Position, parse_position, position_of, with_position

log = logging.getLogger("soundpost.server")

_MICROSECONDS: Final = 1_000_000
_DROPPED_AT_ONCE: Final = 500
"""Largest number of events dropped in housekeeping, each of another channel: some 5 ms."""
_DROPPED_PER_EVENT: Final = 2
"""Largest number of expired events dropped when one is added, so that they never become many."""
_TOGETHER: Final = 8
"""Events of one channel that are dropped in the time of one: less, as measured."""
_DROPPED_TO_FIT: Final = 50
"""Largest number of events dropped when one is added, beside those whose room it takes, after a limit was lowered. Each
frees more than EVENT_SIZE bytes, every second one at least: before that its place may have to be put right."""
_OUT_OF_DATE: Final = 4
"""Places out of date that are put right in the time in which an event is dropped."""


class HistoryStore:
    """Histories in memory. ``max_size`` bounds the bytes of all of them, ``clock`` is in nanoseconds since 1970.

    An offset is the time in microseconds, or one more than the last offset where that is larger.
    """

    def __init__(self, max_size: int, clock: Callable[[], int] = time.time_ns, generation: str | None = None) -> None:
        self._clock = clock
        self._max_size = max_size
        self.generation = generation or secrets.token_hex(6)
        self.top = 0
        """The last offset."""
        self.size = 0
        """Bytes of all kept events."""
        self.number = 0
        """Number of all kept events."""
        self._apps: dict[str, AppHistory] = {}
        self._expiry: ExpiryQueue[AppHistory] = ExpiryQueue()
        """Apps in the order in which their oldest events expire."""

    def configure(self, app: AppSettings) -> None:
        """Take the settings of an app. Events up to now of channels that kept none before are a gap."""
        history = self._app(app.id)
        history.max_size = app.max_history_size
        if history.settings != app.history:
            history.configure(app.history, self._next_offset())

    def _app(self, app_id: str) -> AppHistory:
        app = self._apps.get(app_id)
        if app is None:
            app = self._apps[app_id] = AppHistory()
        return app

    def _next_offset(self) -> int:
        self.top = max(self._clock() // 1_000, self.top + 1)
        return self.top

    @property
    def head(self) -> str:
        """The position behind everything that is kept."""
        return self._position(self.top)

    def _position(self, offset: int) -> str:
        return f"{self.generation}.{offset}"

    # Events

    def add(self, app_id: str, rule: HistorySettings, event: OutgoingEvent) -> KeptEvent:
        """Give an event its offset, and keep it."""
        app = self._apps.get(app_id) or self._app(app_id)
        offset, next_offset = self._clock() // 1_000, self.top + 1
        if offset < next_offset:  # in place of max(), which takes 0.1 µs more
            offset = next_offset
        self.top = offset
        frame = with_position(event.frame, f"{self.generation}.{offset}")
        kept = KeptEvent(offset, frame, event.except_socket_id)
        channel = app.channels.get(event.channel) or app.channel(event.channel)
        if event.key_id is not None and event.key_id != channel.key_id:
            if channel.key_id is not None:
                self._drop(app, channel, len(channel.events), "deleted")
            channel.key_id = event.key_id
        if not channel.size:
            app.empty.pop(event.channel, None)
        growth, number = channel.append(kept, rule.events)
        self.number += number
        app.size += growth
        self.size += growth
        age = rule.age * _MICROSECONDS
        if not channel.due or age != channel.age:  # otherwise its place is early enough: offsets grow
            channel.age = age
            if app.expiry.note(channel):
                self._expiry.note(app)
        if self._expiry.first_due <= offset:
            self._drop_due(offset, _DROPPED_PER_EVENT)
        if self.size > self._max_size or (app.max_size is not None and app.size > app.max_size):
            self._fit(app, _DROPPED_TO_FIT + 2 * max(0, growth) // EVENT_SIZE)
        return kept

    def note_unkept(self, app_id: str, name: str) -> None:
        """Note that a channel's event was not kept. A client that resumes from an earlier position gets a gap."""
        app = self._app(app_id)
        channel = app.channel(name)
        offset = self._next_offset()
        self._drop(app, channel, len(channel.events), "unknown")
        app.note_empty(channel)
        channel.floor, channel.reason = offset, "unknown"

    def delete(self, app_id: str, name: str) -> str:
        """Forget all events of a channel; return the position behind the last of them."""
        app = self._app(app_id)
        channel = app.channels.get(name)
        if channel is not None:
            self._drop(app, channel, len(channel.events), "deleted")
            app.expiry.soonest(max_outdated=_OUT_OF_DATE)  # so that places of deleted events do not become many
        return self.head

    def channels_of(self, app_id: str) -> list[str]:
        """Return the names of an app's remembered channels, with events or without."""
        return list(self._app(app_id).channels)

    def has_events(self, app_id: str, name: str) -> bool:
        """Return whether a channel has kept events."""
        channel = self._app(app_id).channels.get(name)
        return channel is not None and bool(channel.events)

    # Limits

    def _drop(self, app: AppHistory, channel: ChannelHistory, number: int, reason: GapReason) -> None:
        """Forget the oldest events of a channel, if ``number`` is above 0."""
        if number <= 0:
            return
        before = len(channel.events)
        size = channel.drop_oldest(number, reason)
        self.number -= before - len(channel.events)
        app.size -= size
        self.size -= size
        if not channel.events:
            app.note_empty(channel)

    def _fit(self, app: AppHistory, left: int) -> int:
        """Forget the events that would expire first, until an app and all apps are within their limits.

        No more than ``left`` of them, so that after a limit was lowered it takes several calls; return how many of
        ``left`` are left.
        """
        while left and app.max_size is not None and app.size > app.max_size:
            left -= 1
            self._drop_soonest(app, inf)
        while left and self.size > self._max_size and (soonest := self._expiry.soonest()) is not None:
            left -= 1
            self._drop_soonest(soonest, soonest.expires)
        return left

    def _drop_soonest(self, app: AppHistory, by: float) -> None:
        """Forget the event of an app that would expire first, if that is known, and is up to the time ``by``."""
        channel = app.expiry.soonest(by, _OUT_OF_DATE)
        if channel is not None:
            self._drop(app, channel, 1, "number")

    def housekeep(self) -> None:
        """Forget events that are too old or too many, some at a time."""
        left = self._drop_due(self._clock() // 1_000, _DROPPED_AT_ONCE)
        for app in self._apps.values():
            left = self._fit(app, left)
            channels, unkept = app.forget_earliest()
            for channel in channels:
                self._forget_up_to(app, channel, unkept)

    def _drop_due(self, now: int, left: int) -> int:
        """Forget expired events: ``left`` of them, or eight times as many of one channel; return what is left."""
        while left > 0 and (app := self._expiry.soonest(now)) is not None:
            channel = app.expiry.soonest(now, _OUT_OF_DATE)
            if channel is None:  # nothing of the app expires yet, or the places of deleted events are not all gone
                left -= 1
                continue
            number = min(left * _TOGETHER, channel.index_after(now - channel.age))
            self._drop(app, channel, number, "age")
            left -= 1 + number // _TOGETHER
        return max(0, left)

    # From one process to the next

    def as_bytes(self) -> bytes:
        """Return everything that is kept, for :meth:`take_over` of the next process."""
        return history_handover.encode(self.generation, self.top, self._apps)

    def take_over(self, data: bytes) -> None:
        """Take over what another process has kept, before anything is configured.

        What cannot be read is a new generation: clients have a gap.
        """
        try:
            self.generation, self.top, self._apps = history_handover.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            log.warning("the history of the process before cannot be read, clients are told of a gap: %s", error)
            return
        for app in self._apps.values():
            self.size += app.size
            self.number += sum(len(channel.events) for channel in app.channels.values())
            self._expiry.note(app)

    # Subscribers and readers

    def _known(self, app: AppHistory, name: str) -> ChannelHistory | None:
        """Return a channel without what must not be read any more; None if nothing is remembered of it."""
        channel = app.channels.get(name)
        if channel is None:
            return None
        rule = app.rules.of(name)
        if rule is not None and channel.events:
            channel.age = rule.age * _MICROSECONDS
            if app.expiry.note(channel):
                self._expiry.note(app)
            self._drop(app, channel, len(channel.events) - rule.events, "number")
        self._drop(app, channel, channel.index_after(self._clock() // 1_000 - channel.age), "age")
        self._forget_up_to(app, channel, app.not_kept_up_to(name))
        return channel

    def _forget_up_to(self, app: AppHistory, channel: ChannelHistory, unkept: int) -> None:
        """Forget the events of a channel up to an offset up to which not all were kept."""
        if unkept > channel.floor:
            self._drop(app, channel, channel.index_after(unkept), "unknown")
            channel.floor, channel.reason = unkept, "unknown"

    def _gap_after(self, app: AppHistory, name: str, position: Position) -> GapReason | None:
        """Return the reason why events after a position are missing; None if all are here."""
        if position.generation != self.generation:
            return "generation"
        if position.offset > self.top:
            return "unknown"
        channel = app.channels.get(name)
        if channel is not None:
            return channel.gap_after(position.offset)
        if position.offset < app.not_kept_up_to(name):
            return "unknown"
        return "age" if position.offset < app.floor else None

    def state(self, app_id: str, name: str, request: HistoryRequest, cached: bytes | None) -> HistoryState:
        """Return the place of a subscriber. ``cached``: frame of the channel's last event, sent after a gap too."""
        app = self._app(app_id)
        channel = self._known(app, name)
        gap: GapReason | None = None
        if request.limited:
            gap = "limited"
        elif request.after == LOST_POSITION:
            gap = "unknown"
        elif request.after:
            position = parse_position(request.after)
            gap = self._gap_after(app, name, position)
            if gap is None:
                return HistoryState(request.after, None, _number_after(channel, position.offset))
        elif request.rewind and channel is not None and channel.events:
            last = channel.events[-request.rewind :]
            return HistoryState(self._position(last[0].offset - 1), None, len(last))
        shown = None if cached is None else position_of(cached)
        if shown is not None:  # the last event follows, so the position is the one before it
            before = parse_position(shown).offset - 1
            # After a gap the event comes from the history, which knows the sender and leaves the sender out.
            following = 0 if gap in (None, "limited") else _number_after(channel, before)
            return HistoryState(self._position(before), gap, following)
        return HistoryState(self.head, gap)

    def page(self, query: HistoryQuery) -> HistoryPage:
        """Return kept events after a position."""
        app = self._app(query.app_id)
        channel = self._known(app, query.channel)
        offset = 0
        if query.after:
            position = parse_position(query.after)
            gap = self._gap_after(app, query.channel, position)
            if gap is not None:
                return HistoryPage(self.head, [], True, gap)
            offset = position.offset
        if channel is None:
            return HistoryPage(self.head, [], True)
        start, end = channel.index_after(offset), len(channel.events)
        if query.newest_first:
            events = first_of(channel.events[max(start, end - query.most) :][::-1], query.most, query.max_bytes)
        else:
            events = first_of(channel.events[start : start + query.most], query.most, query.max_bytes)
        whole = start + len(events) == end
        if query.newest_first or not events:
            return HistoryPage(self.head, events, whole)
        return HistoryPage(self._position(events[-1].offset), events, whole)


def _number_after(channel: ChannelHistory | None, offset: int) -> int:
    """Return the number of kept events after an offset."""
    return 0 if channel is None else len(channel.events) - channel.index_after(offset)

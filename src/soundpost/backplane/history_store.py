"""The histories of one process: the kept events of all channels of all apps, bounded in number, age and bytes."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

import msgspec
from msgspec import Struct

from soundpost.backplane.channel_history import ChannelHistory
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history import LOST_PLACE, GapReason, HistoryPage, HistoryRequest, HistoryState, KeptEvent
from soundpost.core.peers import HistoryQuery, OutgoingEvent
from soundpost.wire.positions import Position, parse_position, position_of, with_position

log = logging.getLogger("soundpost.server")

_MICROSECONDS: Final = 1_000_000
_EMPTY_CHANNELS: Final = 10_000
"""Largest number of channels of an app that are remembered without events."""
_EXPIRED_AT_ONCE: Final = 5_000
"""Largest number of expired events dropped at a time: some 5 ms."""


def microseconds() -> int:
    """Return the time of day in microseconds since 1970."""
    return time.time_ns() // 1_000


class _ChannelState(Struct, array_like=True):
    """The history of a channel, as one process hands it to the next."""

    floor: int
    reason: GapReason
    age: int
    events: list[KeptEvent]


class _AppState(Struct, array_like=True):
    floor: int
    channels: dict[str, _ChannelState]


class _State(Struct, array_like=True):
    generation: str
    top: int
    apps: dict[str, _AppState]


class AppHistory:
    """The histories of one app. ``max_size`` is in bytes."""

    def __init__(self, max_size: int | None) -> None:
        self.max_size = max_size
        self.channels: dict[str, ChannelHistory] = {}
        self.size = 0
        """Bytes of all kept events."""
        self.floor = 0
        """Floor of channels that are not remembered."""
        self.empty: dict[str, None] = {}
        """Remembered channels without events, the longest empty one first."""
        self.expiry: list[tuple[int, str]] = []
        """Heap of channels with the time at which their oldest event expires; it may be out of date."""

    def channel(self, name: str) -> ChannelHistory:
        """Return the history of a channel; make it if it has none yet."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = ChannelHistory(self.floor)
        elif not channel.events:
            self.empty.pop(name, None)
        return channel

    def emptied(self, name: str) -> None:
        """Note that a channel has lost its last event; forget the channel longest empty if there are too many."""
        self.empty[name] = None
        if len(self.empty) > _EMPTY_CHANNELS:
            longest = next(iter(self.empty))
            del self.empty[longest]
            self.floor = max(self.floor, self.channels.pop(longest).floor)

    def soonest(self) -> tuple[str, ChannelHistory, int] | None:
        """Return the channel whose oldest event expires first, and when; None if nothing is kept."""
        heap = self.expiry
        while heap:
            due, name = heap[0]
            channel = self.channels.get(name)
            if channel is None or not channel.events:
                heappop(heap)
                if channel is not None:
                    channel.is_queued = False
                continue
            expires = channel.events[0].offset + channel.age
            if expires == due:
                return name, channel, due
            heapreplace(heap, (expires, name))
        return None


class HistoryStore:
    """Histories in memory. ``max_size`` bounds the bytes of all of them, ``clock`` is in microseconds since 1970.

    An offset is the time in microseconds, or one more than the last offset where that is larger.
    """

    def __init__(self, max_size: int, clock: Callable[[], int] = microseconds, generation: str | None = None) -> None:
        self._clock = clock
        self._max_size = max_size
        self.generation = generation or secrets.token_hex(6)
        self.top = 0
        """The last offset."""
        self.size = 0
        """Bytes of all kept events."""
        self._apps: dict[str, AppHistory] = {}

    def configure(self, app_id: str, max_size: int | None) -> None:
        """Take another limit of an app's memory, in bytes; None: only the limit of all apps counts."""
        self._app(app_id).max_size = max_size

    def _app(self, app_id: str) -> AppHistory:
        app = self._apps.get(app_id)
        if app is None:
            app = self._apps[app_id] = AppHistory(None)
        return app

    @property
    def head(self) -> str:
        """The position behind everything that is kept."""
        return f"{self.generation}.{self.top}"

    # Events

    def add(self, app_id: str, rule: HistorySettings, event: OutgoingEvent) -> KeptEvent:
        """Give an event its offset, and keep it."""
        app = self._app(app_id)
        self.top = offset = max(self.top + 1, self._clock())
        frame = with_position(event.frame, f"{self.generation}.{offset}")
        kept = KeptEvent(offset, frame, event.except_socket_id)
        channel = app.channel(event.channel)
        size = channel.append(kept)
        app.size += size
        self.size += size
        channel.age = rule.age * _MICROSECONDS
        if not channel.is_queued:
            channel.is_queued = True
            heappush(app.expiry, (channel.events[0].offset + channel.age, event.channel))
        if len(channel.events) > rule.events:
            self._drop(app, event.channel, channel, len(channel.events) - rule.events, "number")
        while app.max_size is not None and app.size > app.max_size and self._drop_soonest(app):
            pass
        while self.size > self._max_size and self._drop_soonest(self._app_of_soonest()):
            pass
        return kept

    def _drop(self, app: AppHistory, name: str, channel: ChannelHistory, number: int, reason: GapReason) -> None:
        size = channel.drop_oldest(number, reason)
        app.size -= size
        self.size -= size
        if not channel.events:
            app.emptied(name)

    def _drop_soonest(self, app: AppHistory | None) -> bool:
        """Forget the event of an app that would expire first; False if there is none."""
        found = None if app is None else app.soonest()
        if app is None or found is None:
            return False
        name, channel, _ = found
        self._drop(app, name, channel, 1, "number")
        return True

    def _app_of_soonest(self) -> AppHistory | None:
        due = [(found[2], app) for app in self._apps.values() if (found := app.soonest()) is not None]
        return min(due, key=lambda pair: pair[0])[1] if due else None

    def drop_expired(self) -> None:
        """Forget events that are too old, some at a time."""
        now, left = self._clock(), _EXPIRED_AT_ONCE
        for app in self._apps.values():
            while left and (found := app.soonest()) is not None and found[2] <= now:
                self._drop(app, found[0], found[1], 1, "age")
                left -= 1

    def _drop_expired_of(self, app: AppHistory, name: str, channel: ChannelHistory) -> None:
        expired = channel.index_after(self._clock() - channel.age)
        if expired:
            self._drop(app, name, channel, expired, "age")

    def delete(self, app_id: str, name: str) -> str:
        """Forget all events of a channel; return the position behind the last of them."""
        app = self._app(app_id)
        channel = app.channels.get(name)
        if channel is not None and channel.events:
            self._drop(app, name, channel, len(channel.events), "deleted")
        return self.head

    def forget_channels(self, app_id: str, names: Iterable[str] = ()) -> None:
        """Forget channels that keep no history any more. Positions in channels that are not known have a gap now.

        Called when an app's settings have changed: a channel may begin to keep its events, and kept none before.
        """
        app = self._app(app_id)
        for name in names:
            channel = app.channels.pop(name)
            app.size -= channel.size
            self.size -= channel.size
            app.empty.pop(name, None)
        self.top = app.floor = max(self.top + 1, self._clock())
        app.expiry = [entry for entry in app.expiry if entry[1] in app.channels]
        heapify(app.expiry)

    def channels_of(self, app_id: str) -> list[str]:
        """Return the names of an app's remembered channels."""
        return list(self._app(app_id).channels)

    # From one process to the next

    def as_bytes(self) -> bytes:
        """Return everything that is kept, for :meth:`take_over` of the next process."""
        apps = {
            app_id: _AppState(
                app.floor,
                {
                    name: _ChannelState(channel.floor, channel.reason, channel.age, channel.events)
                    for name, channel in app.channels.items()
                },
            )
            for app_id, app in self._apps.items()
        }
        return msgspec.msgpack.encode(_State(self.generation, self.top, apps))

    def take_over(self, data: bytes) -> None:
        """Go on with what another process has kept. What cannot be read is a new generation: clients have a gap."""
        try:
            state = msgspec.msgpack.decode(data, type=_State)
        except msgspec.DecodeError as error:
            log.warning("the history of the process before cannot be read, clients are told of a gap: %s", error)
            return
        self.generation, self.top = state.generation, state.top
        for app_id, kept in state.apps.items():
            app = self._app(app_id)
            app.floor = kept.floor
            for name, old in kept.channels.items():
                channel = app.channels[name] = ChannelHistory(old.floor, old.reason)
                channel.age = old.age
                size = sum([channel.append(event) for event in old.events])
                app.size += size
                self.size += size
                if channel.events:
                    channel.is_queued = True
                    app.expiry.append((channel.events[0].offset + channel.age, name))
                else:
                    app.empty[name] = None
            heapify(app.expiry)

    # Subscribers and readers

    def gap_after(self, app_id: str, name: str, position: Position) -> GapReason | None:
        """Return the reason why events after a position are missing; None if all are here."""
        if position.generation != self.generation:
            return "generation"
        if position.offset > self.top:
            return "unknown"
        app = self._app(app_id)
        channel = app.channels.get(name)
        if channel is None:
            return "age" if position.offset < app.floor else None
        self._drop_expired_of(app, name, channel)
        return channel.gap_after(position.offset)

    def state(self, app_id: str, name: str, request: HistoryRequest, cached: bytes | None) -> HistoryState:
        """Return the place of a subscriber. ``cached``: frame of the channel's last event, sent after a gap too."""
        channel = self._app(app_id).channels.get(name)
        gap: GapReason | None = None
        if request.limited:
            gap = "limited"
        elif request.after == LOST_PLACE:
            gap = "unknown"
        elif request.after:
            position = parse_position(request.after)
            gap = self.gap_after(app_id, name, position)
            if gap is None:
                following = 0 if channel is None else len(channel.events) - channel.index_after(position.offset)
                return HistoryState(request.after, None, following)
        elif request.rewind and channel is not None:
            self._drop_expired_of(self._app(app_id), name, channel)
            first = channel.events[-request.rewind :][:1]
            if first:
                following = min(request.rewind, len(channel.events))
                return HistoryState(f"{self.generation}.{first[0].offset - 1}", None, following)
        last = None if cached is None else position_of(cached)
        if last is not None:  # the last event follows, so the position is the one before it
            return HistoryState(f"{self.generation}.{parse_position(last).offset - 1}", gap)
        return HistoryState(self.head, gap)

    def page(self, query: HistoryQuery) -> HistoryPage:
        """Return kept events after a position."""
        app = self._app(query.app_id)
        offset = 0
        if query.after:
            position = parse_position(query.after)
            gap = self.gap_after(query.app_id, query.channel, position)
            if gap is not None:
                return HistoryPage(self.head, [], True, gap)
            offset = position.offset
        channel = app.channels.get(query.channel)
        if channel is None:
            return HistoryPage(self.head, [], True)
        self._drop_expired_of(app, query.channel, channel)
        start = channel.index_after(offset)
        if query.newest_first:
            newest = channel.events[max(start, len(channel.events) - query.most) :]
            return HistoryPage(self.head, newest[::-1], len(newest) == len(channel.events) - start)
        events = channel.piece(start, query.most, query.max_bytes)
        whole = start + len(events) == len(channel.events)
        last = events[-1].offset if events else self.top
        return HistoryPage(f"{self.generation}.{last}", events, whole)

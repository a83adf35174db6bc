"""Numbers of this host's connections and subscriptions, stated to Redis; changes of 10 ms go together.

Very many changes are stated for some milliseconds in each loop turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import app_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.observer_events import Change
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.subscription_scripts import ALWAYS, COUNT, IF_CHANGED, SILENTLY, TO_SUBSCRIBERS
from soundpost.backplane.registry import COUNT_AT_ONCE
from soundpost.core.slices import TURN
from soundpost.wire.channel_names import kind_of

COUNT_DELAY: Final = 0.01
"""Seconds that changed counts wait for more changes, to be stated together."""

ReportChanges = Callable[[str, list[Change]], None]
"""Function that reports an app's changes, as a script returned them, to the observers."""


class Counts:
    """Changed counts, stated to Redis after a moment. ``call_later`` is the loop's."""

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        redis: Redis,
        report_changes: ReportChanges,
        call_later: Callable[..., object],
    ) -> None:
        self._apps = apps
        self._redis = redis
        self._report_changes = report_changes
        self._call_later = call_later
        self._changed_apps: dict[AppEntry, None] = {}
        self._changed: dict[SharedChannel, None] = {}
        self._stating: dict[SharedChannel, None] = {}
        """Channels whose changed counts are being stated; those that change meanwhile follow."""
        self._then: list[Callable[[], None]] = []
        """Called once :attr:`_stating` is stated."""
        self._then_next: list[Callable[[], None]] = []
        """Callbacks for the time when later changes are stated too."""
        self._large: set[SharedChannel] = set()
        """Channels with a changed count that is announced every few seconds only."""
        self._waits = False
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self.ensure_stated: Callable[[SharedChannel], bool]
        """State a channel unless it is stated already; return False if Redis cannot be told now."""
        redis.leases.count_announcement = self._count_announcement

    def connections_changed(self, entry: AppEntry) -> None:
        """Note that an app has more or fewer connections here."""
        self._changed_apps[entry] = None
        self._state_in(COUNT_DELAY)

    def subscriptions_changed(self, channel: SharedChannel) -> None:
        """Note that a channel has more or fewer subscriptions here."""
        self._changed[channel] = None
        self._state_in(COUNT_DELAY)

    def _state_in(self, seconds: float) -> None:
        if not self._waits:
            self._waits = True
            self._call_later(seconds, self._on_time)

    def _on_time(self) -> None:
        self._waits = False
        self._state_some()

    def state_now(self, then: Callable[[], None]) -> None:
        """State changed counts without delay, then call back: a query that follows is answered with them.

        Very many counts are stated over several loop turns.
        """
        if self._changed or self._stating or self._changed_apps:
            self._then_next.append(then)
            self._state_some()
        else:
            then()

    def _state_some(self) -> None:
        """State changed counts, for some milliseconds of the loop turn; the rest follows in the next one."""
        until = self.turn_clock() + TURN
        apps, self._changed_apps = self._changed_apps, {}
        for entry in apps:
            self.state_connections(entry)
        while self._take_changed():
            channel, _ = self._stating.popitem()
            if channel.count > COUNT_AT_ONCE and self.announces(channel):
                self._large.add(channel)
                self._state(channel, SILENTLY)
            else:
                self._state(channel, ALWAYS if self.announces(channel) else SILENTLY)
            if self.turn_clock() >= until:
                self._state_in(0)
                return

    def _take_changed(self) -> bool:
        """Begin to state changes, if earlier changes are stated; return True if anything is left."""
        while not self._stating:
            stated, self._then, self._then_next = self._then, self._then_next, []
            for then in stated:
                then()
            if not self._changed and not self._then:
                return False
            self._stating, self._changed = self._changed, {}
        return True

    def state_connections(self, entry: AppEntry) -> None:
        """State to Redis the number of an app's connections here."""
        self._redis.state_connections(entry.app.id, sum(entry.connections.values()))

    def state_closed(self, channel: SharedChannel) -> None:
        """State to Redis that a channel has no subscribers here any more."""
        self._changed.pop(channel, None)
        self._stating.pop(channel, None)
        self._large.discard(channel)
        self._state(channel, IF_CHANGED if self.announces(channel) else SILENTLY)

    def housekeep(self) -> None:
        """Announce the counts of large channels."""
        large, self._large = self._large, set()
        for channel in large:
            self._state(channel, ALWAYS)

    def announces(self, channel: SharedChannel) -> bool:
        """Return whether a channel's subscribers are sent their number."""
        return self._apps[channel.app_id].app.subscription_count and kind_of(channel.name).announces_count

    def announcement(self, channel: SharedChannel) -> str:
        """Return how a channel's statement announces a count that changed while Redis was away, or was lost there."""
        if not channel.count or not self.announces(channel):  # the count of a first subscription is stated later
            return SILENTLY
        if channel.count > COUNT_AT_ONCE:
            self._large.add(channel)
            return SILENTLY
        return TO_SUBSCRIBERS

    def _count_announcement(self, bucket: bytes) -> str:
        entry = self._apps.get(app_of(bucket))
        return IF_CHANGED if entry is not None and entry.app.subscription_count else SILENTLY

    def _state(self, channel: SharedChannel, announce: str) -> None:
        if not self.ensure_stated(channel):
            return  # the channel is stated when Redis is back
        stated = partial(self._stated, channel.app_id)
        self._redis.run(COUNT, channel.bucket, announce, channel.name, channel.stated_count, then=stated)

    def _stated(self, app_id: str, answer: Any) -> None:
        if isinstance(answer, list):
            self._report_changes(app_id, answer)

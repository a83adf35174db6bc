"""How many connections and subscriptions this host has, as it states them to Redis: changes of 10 ms together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import app_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.scripts import ALWAYS, COUNT, IF_CHANGED, SILENTLY
from soundpost.backplane.registry import COUNT_AT_ONCE
from soundpost.wire.channel_names import kind_of

COUNT_DELAY: Final = 0.01
"""Seconds that changed counts wait for more, to be stated together."""

Tell = Callable[[str, list[list[Any]]], None]
"""Takes an app's id and what observers are to know of it."""


class Counts:
    """Note what has changed; :meth:`state` follows by itself. ``call_later`` is the loop's."""

    def __init__(
        self, apps: Mapping[str, AppEntry], redis: Redis, tell: Tell, call_later: Callable[..., object]
    ) -> None:
        self._apps = apps
        self._redis = redis
        self._tell = tell
        self._call_later = call_later
        self._changed_apps: dict[AppEntry, None] = {}
        self._changed: dict[SharedChannel, None] = {}
        self._large: set[SharedChannel] = set()
        """Channels whose count is announced every few seconds only, and has changed since."""
        self._waits = False
        redis.tell_of = self._tell_of

    def connections_changed(self, entry: AppEntry) -> None:
        """An app has more or fewer connections here."""
        self._changed_apps[entry] = None
        if not self._waits:
            self._waits = True
            self._call_later(COUNT_DELAY, self.state)

    def subscriptions_changed(self, channel: SharedChannel) -> None:
        """A channel has more or fewer subscriptions here."""
        self._changed[channel] = None
        if not self._waits:
            self._waits = True
            self._call_later(COUNT_DELAY, self.state)

    def state_soonest(self) -> None:
        """State at once what has changed, so that a question that follows is answered with it."""
        if self._waits:
            self.state()

    def state(self) -> None:
        """Tell Redis what has changed."""
        self._waits = False
        apps, self._changed_apps = self._changed_apps, {}
        for entry in apps:
            self.state_connections(entry)
        changed, self._changed = self._changed, {}
        for channel in changed:
            if channel.count > COUNT_AT_ONCE and self.announces(channel):
                self._large.add(channel)
                self._state(channel, SILENTLY)
            else:
                self._state(channel, ALWAYS if self.announces(channel) else SILENTLY)

    def state_connections(self, entry: AppEntry) -> None:
        """Tell Redis how many connections an app has here."""
        self._redis.state_connections(entry.app.id, sum(entry.connections.values()))

    def state_closed(self, channel: SharedChannel) -> None:
        """Tell Redis that a channel has no subscribers here any more."""
        self._changed.pop(channel, None)
        self._large.discard(channel)
        self._state(channel, IF_CHANGED if self.announces(channel) else SILENTLY)

    def housekeep(self) -> None:
        """Announce the counts of large channels."""
        large, self._large = self._large, set()
        for channel in large:
            self._state(channel, ALWAYS)

    def announces(self, channel: SharedChannel) -> bool:
        """Whether a channel's subscribers are told how many they are."""
        return self._apps[channel.app_id].app.subscription_count and kind_of(channel.name).announces_count

    def _tell_of(self, bucket: bytes) -> str:
        entry = self._apps.get(app_of(bucket))
        return IF_CHANGED if entry is not None and entry.app.subscription_count else SILENTLY

    def _state(self, channel: SharedChannel, tell: str) -> None:
        stated = partial(self._stated, channel.app_id)
        self._redis.run(COUNT, channel.bucket, tell, channel.name, channel.stated_count, then=stated)

    def _stated(self, app_id: str, answer: Any) -> None:
        if isinstance(answer, list):
            self._tell(app_id, answer)

"""The last event of each cache channel, kept for a time, with or without subscribers.

Source: https://pusher.com/docs/channels/using_channels/cache-channels/
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple


class CachedEvent(NamedTuple):
    """An event as it was published; ``expires_at`` on the clock of the cache, in seconds."""

    name: str
    data: str
    frame: bytes
    expires_at: float


class EventCache:
    """Channel name to last event, bounded in time and number."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: OrderedDict[str, CachedEvent] = OrderedDict()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, channel: str, name: str, data: str, frame: bytes, *, ttl: float, max_channels: int) -> None:
        """Keep an event in place of the channel's last one."""
        self._events[channel] = CachedEvent(name, data, frame, self._clock() + ttl)
        self._events.move_to_end(channel)
        while len(self._events) > max_channels:
            self._events.popitem(last=False)

    def get(self, channel: str) -> CachedEvent | None:
        """The channel's last event, unless it expired."""
        event = self._events.get(channel)
        if event is None or event.expires_at > self._clock():
            return event
        del self._events[channel]
        return None

    def seconds_left(self, event: CachedEvent) -> int:
        """For how long an event will still be kept."""
        return max(0, round(event.expires_at - self._clock()))

    def drop_expired(self) -> None:
        """Forget expired events. The oldest come first, so this looks at no others."""
        now = self._clock()
        while self._events and next(iter(self._events.values())).expires_at <= now:
            self._events.popitem(last=False)

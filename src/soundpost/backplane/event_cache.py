"""The cache of the last event of each cache channel, kept for a time, with or without subscribers.

Source: https://pusher.com/docs/channels/using_channels/cache-channels/
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_DROPPED_AT_ONCE: Final = 5_000
"""Largest number of events dropped at a time: some 4 ms."""


class EventCache:
    """Frames of last events by channel name, bounded in time and number. ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, channel: str, frame: bytes, *, ttl: float, max_channels: int) -> None:
        """Keep an event in place of the channel's earlier one for ``ttl`` seconds; drop the oldest of too many."""
        self._events[channel] = (frame, self._clock() + ttl)
        self._events.move_to_end(channel)
        while len(self._events) > max_channels:
            self._events.popitem(last=False)

    def get(self, channel: str) -> bytes | None:
        """Return the frame of the channel's last event; None if there is none or it has expired."""
        frame, expires_at = self._events.get(channel, (None, 0.0))
        if frame is not None and expires_at <= self._clock():
            del self._events[channel]
            return None
        return frame

    def drop(self, channel: str) -> None:
        """Forget the channel's last event."""
        self._events.pop(channel, None)

    def seconds_left(self, channel: str) -> int:
        """Return the seconds for which the channel's last event will still be kept."""
        _, expires_at = self._events.get(channel, (None, 0.0))
        return max(0, round(expires_at - self._clock()))

    def drop_expired(self) -> None:
        """Drop expired events, some at a time. The oldest come first, so no others are looked at."""
        now = self._clock()
        for _ in range(_DROPPED_AT_ONCE):
            if not self._events or next(iter(self._events.values()))[1] > now:
                return
            self._events.popitem(last=False)

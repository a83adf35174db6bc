"""Frames of one loop turn, sent together at its end: one write per subscriber, however many events.

The kernel's ``send()`` is what a delivery costs. Sending a turn's frames in one write makes it cheaper the more
there is to do, and delays nothing when there is little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

CallSoon = Callable[[Callable[[], None]], object]
"""A loop's ``call_soon``: call back in the next loop turn."""


class Flushable(Protocol):
    """An object with queued frames: a channel."""

    def flush(self) -> None:
        """Send all queued frames."""


class Outbox:
    """Which channels have frames to send, and who waits until they are sent."""

    def __init__(self, call_soon: CallSoon, before: Callable[[], None] = lambda: None) -> None:
        self._call_soon = call_soon
        self._before = before  # others are to hear before this node's clients take their time
        self._channels: list[Flushable] = []
        self._waiting: list[Callable[[], None]] = []

    def mark(self, channel: Flushable) -> None:
        """A channel has its first frame of this turn."""
        if not self._channels:
            self._call_soon(self.flush)
        self._channels.append(channel)

    def after_flush(self, callback: Callable[[], None]) -> None:
        """Call back when everything queued up to now has been sent; at once if nothing is."""
        if self._channels:
            self._waiting.append(callback)
        else:
            callback()

    def flush(self) -> None:
        """Send what all channels have queued."""
        self._before()
        channels, self._channels = self._channels, []
        waiting, self._waiting = self._waiting, []
        for channel in channels:
            channel.flush()
        for callback in waiting:
            callback()

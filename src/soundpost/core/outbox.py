"""The outbox: frames of one loop turn, sent together at its end, with one write per subscriber.

The kernel's ``send()`` is the main cost of a delivery. One write for all frames of a turn makes deliveries cheaper
under load, and delays none without load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

CallSoon = Callable[[Callable[[], None]], object]
"""A loop's ``call_soon``: call back in the next loop turn."""
CallLater = Callable[[float, Callable[[], None]], object]
"""A loop's ``call_later``: call back after some seconds."""


def never(seconds: float, callback: Callable[[], None]) -> None:
    """Do not call back: a ``call_later`` for code without a loop."""


class Flushable(Protocol):
    """An object with queued frames: a channel."""

    def flush(self) -> None:
        """Send all queued frames."""


class Outbox:
    """Channels with queued frames, and callbacks that wait until the frames are sent."""

    def __init__(self, call_soon: CallSoon, before: Callable[[], None] = lambda: None) -> None:
        self._call_soon = call_soon
        self._before = before  # other nodes first: writing to this node's clients takes long
        self._channels: list[Flushable] = []
        self._waiting: list[Callable[[], None]] = []

    def mark(self, channel: Flushable) -> None:
        """Note a channel that has its first frame of this loop turn."""
        if not self._channels:
            self._call_soon(self.flush)
        self._channels.append(channel)

    def after_flush(self, callback: Callable[[], None]) -> None:
        """Call back once all frames queued up to now are sent; at once if there are none."""
        if self._channels:
            self._waiting.append(callback)
        else:
            callback()

    def flush(self) -> None:
        """Send the queued frames of all channels."""
        self._before()
        channels, self._channels = self._channels, []
        waiting, self._waiting = self._waiting, []
        for channel in channels:
            channel.flush()
        for callback in waiting:
            callback()

"""The last requests to an endpoint with their answers, and their events, to be sent again."""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from soundpost.core.inspection import DeliveryLine
from soundpost.server.webhooks.waiting_event import WaitingEvent

MAX_DELIVERIES: Final = 50
"""Requests that are remembered."""
MAX_BYTES: Final = 524_288
"""Bytes of events that are kept to be sent again."""


class RecentDeliveries:
    """The last deliveries of one endpoint. The events of the oldest ones are dropped if all are too large."""

    def __init__(self) -> None:
        self._kept: deque[_Kept] = deque()
        self._life = secrets.token_hex(4)  # no other host has the same ids
        self._number = 0
        self._size = 0

    def add(
        self, at: float, events: Sequence[WaitingEvent], status: int, answer: str, seconds: float, *, again: bool
    ) -> None:
        """Remember a request. ``status`` is 0 if no answer came. ``events`` is not changed any more."""
        self._number += 1
        line = DeliveryLine(f"{self._life}-{self._number}", at, _names(events), status or None, answer, seconds, again)
        self._kept.append(_Kept(line, events))
        self._size += _size(events)
        if len(self._kept) > MAX_DELIVERIES:
            self._size -= _size(self._kept.popleft().events)
        for kept in self._kept:
            if self._size <= MAX_BYTES:
                break
            self._size -= _size(kept.events)
            kept.events = ()

    def newest_first(self) -> list[DeliveryLine]:
        """Return all remembered deliveries, newest first."""
        return [
            kept.line if kept.events else replace(kept.line, can_be_sent_again=False) for kept in reversed(self._kept)
        ]

    def events_of(self, delivery_id: str) -> Sequence[WaitingEvent]:
        """Return the events of a delivery; none if it, or they, are not kept any more."""
        return next((kept.events for kept in self._kept if kept.line.id == delivery_id), ())


class _Kept:
    """A delivery with its events, as long as they are kept."""

    __slots__ = ("events", "line")

    def __init__(self, line: DeliveryLine, events: Sequence[WaitingEvent]) -> None:
        self.line = line
        self.events = events


def _names(events: Sequence[WaitingEvent]) -> list[str]:
    counts = Counter([waiting.event.name for waiting in events])
    return [name if number == 1 else f"{name} × {number}" for name, number in counts.items()]


def _size(events: Sequence[WaitingEvent]) -> int:
    return sum([waiting.size for waiting in events])

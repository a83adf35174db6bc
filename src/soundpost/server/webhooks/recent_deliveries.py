"""The last requests to an endpoint with their answers, for the dashboard, and their events, to be sent again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from soundpost.server.webhooks.waiting_event import WaitingEvent

MOST: Final = 50
"""Requests that are remembered."""
MOST_BYTES: Final = 524_288
"""Bytes of events that are kept to be sent again."""


class Delivery(Struct, frozen=True):
    """One request to an endpoint, and its answer."""

    id: str
    at: float
    """Time of the request, in seconds since 1970."""
    events: list[str]
    """Names of the events, in their order."""
    status: int
    """HTTP status of the answer; 0 if there was none."""
    answer: str
    """What the endpoint did, in words that go on after its name."""
    seconds: float
    """Time until the answer, or until it was given up."""
    again: bool = False
    """True if an operator had the events sent again."""
    can_be_sent_again: bool = True
    """False once the events are not kept any more."""


class _Kept:
    """A delivery with its events, as long as they are kept."""

    __slots__ = ("delivery", "events")

    def __init__(self, delivery: Delivery, events: Sequence[WaitingEvent]) -> None:
        self.delivery = delivery
        self.events = events


class RecentDeliveries:
    """The last deliveries of one endpoint. The events of the oldest ones are dropped if they are too large."""

    def __init__(self) -> None:
        self._kept: deque[_Kept] = deque()
        self._number = 0
        self._size = 0

    def add(
        self, at: float, events: Sequence[WaitingEvent], status: int, answer: str, seconds: float, *, again: bool
    ) -> None:
        """Remember a request. ``events`` is not changed any more."""
        self._number += 1
        names = [waiting.event.name for waiting in events]
        self._kept.append(_Kept(Delivery(str(self._number), at, names, status, answer, seconds, again), events))
        self._size += _size(events)
        if len(self._kept) > MOST:
            self._size -= _size(self._kept.popleft().events)
        for kept in self._kept:
            if self._size <= MOST_BYTES:
                break
            self._size -= _size(kept.events)
            kept.events = ()

    def newest_first(self) -> list[Delivery]:
        """Return all deliveries."""
        return [
            kept.delivery if kept.events else replace(kept.delivery, can_be_sent_again=False)
            for kept in reversed(self._kept)
        ]

    def events_of(self, delivery_id: str) -> Sequence[WaitingEvent]:
        """Return the events of a delivery; none if it, or they, are not kept any more."""
        return next((kept.events for kept in self._kept if kept.delivery.id == delivery_id), ())


def _size(events: Sequence[WaitingEvent]) -> int:
    return sum([waiting.size for waiting in events])

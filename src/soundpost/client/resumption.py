"""The position of a client in the history of a channel, with the rules for repeated and missing events."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from soundpost.client.gap import UNKNOWN
from soundpost.client.incoming import GAP, Frame
from soundpost.wire.positions import LOST_PLACE, Position

MAX_IDS: Final = 200
"""Number of event ids that are known of a channel."""
_MAX_ID_LENGTH: Final = 200


class Step(NamedTuple):
    """Meaning of a message of the server for the place in the history."""

    at: Position | None
    """The place after the message; None where there is no history, or where the place is lost."""
    gap: str | None = None
    """Why events before the message are missing; None if none are."""
    is_new: bool = False
    """True for an event that the reader has not had."""
    id: str | None = None
    """The id of a new event, if it has one."""
    is_lost: bool = False
    """True if there is a history, but no valid position in it."""


class Resumption:
    """The place in the history of one channel, through all sockets of a client.

    Ask for the meaning of a message first, then :meth:`take` the step, just before its event is handed on. So a
    message that finds no room with its reader changes nothing, and comes again.
    """

    def __init__(self, after: Position | None = None, rewind: int | None = None) -> None:
        self.at = after
        """The position of the reader's last event."""
        self._rewind = rewind
        self._is_lost = False
        self._ids: dict[str, None] = {}

    @property
    def has_history(self) -> bool:
        """Tell whether the channel is known to have a history."""
        return self.at is not None or self._is_lost

    def request(self) -> dict[str, Any]:
        """Return the fields of a ``pusher:subscribe`` that say where to go on."""
        if self.at is not None:
            return {"resume": str(self.at)}
        if self._is_lost:
            return {"resume": LOST_PLACE}
        return {"resume": ""} if self._rewind is None else {"resume": "", "rewind": self._rewind}

    def concerns(self, frame: Frame) -> bool:
        """Tell whether an event has a place in the history; member notices and client events have none."""
        return frame.place is not None or (self.has_history and (_id_of(frame) is not None or frame.event == GAP))

    def accepted(self, frame: Frame) -> Step:
        """Return the meaning of a ``subscription_succeeded``."""
        place = frame.place
        if frame.gap is not None:
            return self._gap(frame, _reason(frame.gap))
        if not self.has_history:
            return Step(place)
        if frame.resumed is not None and self.at is not None and (place is None or self._continues(place)):
            return Step(self.at if place is None else max(self.at, place))
        # Of a place that the server does not know, it has not said that nothing is missing.
        return Step(place, UNKNOWN)

    def event(self, frame: Frame) -> Step:
        """Return the meaning of an event that has a place in the history."""
        place = frame.place
        if frame.event == GAP:
            return self._gap(frame, _reason(frame.content().get("reason")))
        id = _id_of(frame)
        is_known = id is not None and id in self._ids
        if place is None:
            return Step(self.at, is_new=not is_known, id=id, is_lost=self._is_lost)
        if self.at is not None and not self._continues(place):
            return Step(place, UNKNOWN, is_new=not is_known, id=id)
        if self.has_had(place):
            return Step(self.at)
        return Step(place, is_new=not is_known, id=id)

    def has_had(self, place: Position | None) -> bool:
        """Tell whether the reader has had the event of a position."""
        return place is not None and self.at is not None and self._continues(place) and place <= self.at

    def take(self, step: Step) -> None:
        """Go to the place after a message."""
        self.at = step.at
        self._is_lost = step.is_lost
        self._rewind = None
        if step.is_new and step.id is not None:
            self._ids[step.id] = None
            if len(self._ids) > MAX_IDS:
                del self._ids[next(iter(self._ids))]

    def _gap(self, frame: Frame, reason: str) -> Step:
        at = self.at if self.has_had(frame.place) else frame.place
        return Step(at, reason, is_lost=at is None and frame.position is not None)

    def _continues(self, place: Position) -> bool:
        return self.at is not None and self.at.generation == place.generation


def _reason(value: Any) -> str:
    return value if isinstance(value, str) and value else UNKNOWN


def _id_of(frame: Frame) -> str | None:
    return frame.id if isinstance(frame.id, str) and 0 < len(frame.id) <= _MAX_ID_LENGTH else None

"""The position of a client in the history of a channel, with the rules for repeated and missing events."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from soundpost.client.gap import UNKNOWN
from soundpost.client.incoming import GAP, Frame
from soundpost.wire.positions import LOST_POSITION, Position

MAX_IDS: Final = 200
"""Number of event ids that are known of a channel."""
_MAX_ID_LENGTH: Final = 200


class ResumptionStep(NamedTuple):
    """Effect of a server's message on the position in the history, and on the events that the reader gets."""

    position: Position | None
    """Position after the message; None without a history, or if the position is lost."""
    gap: str | None = None
    """Reason why events before the message are missing; None if none are missing."""
    is_new: bool = False
    """True for an event that the reader has not received yet."""
    id: str | None = None
    """Id of a new event, if the event has an id."""
    is_lost: bool = False
    """True if there is a history, but no valid position in it."""


class Resumption:
    """Position in the history of one channel, across all sockets of a client.

    A caller asks for the step of a message, hands its events to the reader, and then calls :meth:`apply`. A message
    whose events find no room is not applied: the server sends it again.
    """

    def __init__(self, after: Position | None = None, rewind: int | None = None) -> None:
        self.position = after
        """Position of the reader's last event."""
        self._rewind = rewind
        self._is_lost = False
        self._ids: dict[str, None] = {}

    @property
    def has_history(self) -> bool:
        """True if the channel is known to have a history."""
        return self.position is not None or self._is_lost

    def request(self) -> dict[str, Any]:
        """Return the fields of a ``pusher:subscribe`` that name the position to resume from."""
        if self.position is not None:
            return {"resume": str(self.position)}
        if self._is_lost:
            return {"resume": LOST_POSITION}
        return {"resume": ""} if self._rewind is None else {"resume": "", "rewind": self._rewind}

    def applies_to(self, frame: Frame) -> bool:
        """Return whether an event belongs to the history; member notices and client events do not."""
        return frame.parsed_position is not None or (
            self.has_history and (_id_of(frame) is not None or frame.event == GAP)
        )

    def accepted(self, frame: Frame) -> ResumptionStep:
        """Return the step of a ``subscription_succeeded``."""
        position = frame.parsed_position
        if frame.gap is not None:
            return self._gap(frame, _reason(frame.gap))
        if not self.has_history:
            return ResumptionStep(position)
        if frame.resumed is not None and self.position is not None and (position is None or self._continues(position)):
            return ResumptionStep(self.position if position is None else max(self.position, position))
        # The server did not know the position, and has not said that nothing is missing.
        return ResumptionStep(position, UNKNOWN)

    def event(self, frame: Frame) -> ResumptionStep:
        """Return the step of an event that belongs to the history."""
        position = frame.parsed_position
        if frame.event == GAP:
            return self._gap(frame, _reason(frame.content().get("reason")))
        id = _id_of(frame)
        is_known = id is not None and id in self._ids
        if position is None:
            return ResumptionStep(self.position, is_new=not is_known, id=id, is_lost=self._is_lost)
        if self.position is not None and not self._continues(position):
            return ResumptionStep(position, UNKNOWN, is_new=not is_known, id=id)
        if self.was_received(position):
            return ResumptionStep(self.position)
        return ResumptionStep(position, is_new=not is_known, id=id)

    def was_received(self, position: Position | None) -> bool:
        """Return whether the reader has received the event at a position."""
        return (
            position is not None
            and self.position is not None
            and self._continues(position)
            and position <= self.position
        )

    def apply(self, step: ResumptionStep) -> None:
        """Move to the position after a message."""
        self.position = step.position
        self._is_lost = step.is_lost
        self._rewind = None
        if step.is_new and step.id is not None:
            self._ids[step.id] = None
            if len(self._ids) > MAX_IDS:
                del self._ids[next(iter(self._ids))]

    def _gap(self, frame: Frame, reason: str) -> ResumptionStep:
        position = self.position if self.was_received(frame.parsed_position) else frame.parsed_position
        return ResumptionStep(position, reason, is_lost=position is None and frame.position is not None)

    def _continues(self, position: Position) -> bool:
        return self.position is not None and self.position.generation == position.generation


def _reason(value: Any) -> str:
    return value if isinstance(value, str) and value else UNKNOWN


def _id_of(frame: Frame) -> str | None:
    return frame.id if isinstance(frame.id, str) and 0 < len(frame.id) <= _MAX_ID_LENGTH else None

"""Positions in the history of a channel, as text and at the end of an event's frame.

A position is the generation of a history and the offset of an event in it, joined by a dot: ``g7Qx.1795887678285000``.
Offsets grow strictly but are not consecutive. Positions of two generations cannot be compared.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from soundpost.errors import SoundpostError
from soundpost.wire.frames import with_end

MAX_OFFSET: Final = 2**53 - 1
"""Largest offset: the largest integer that JavaScript counts exactly."""
LOST_POSITION: Final = "?"
"""Text in place of a position, of a client that does not know what it had: the server answers with a gap."""
_POSITION: Final = re.compile(r"([A-Za-z0-9]{1,16})\.(0|[1-9][0-9]{0,15})")
_LAST_FIELD: Final = re.compile(rb',"position":"([A-Za-z0-9]{1,16}\.[0-9]{1,16})"\}\Z')


class PositionError(SoundpostError, ValueError):
    """A text is not a position."""


class Position(NamedTuple):
    """A place in the history of a channel: behind the event with this offset."""

    generation: str
    """1 to 16 letters and digits that name one life of a history."""
    offset: int

    def __str__(self) -> str:
        return f"{self.generation}.{self.offset}"


def parse_position(text: str) -> Position:
    """Return the position in a text. Raise PositionError for any other text."""
    match = _POSITION.fullmatch(text)
    if match is not None:
        offset = int(match[2])
        if offset <= MAX_OFFSET:
            return Position(match[1], offset)
    raise PositionError(
        f"{text[:60]!r} is not a position: expected 1 to 16 letters and digits, a dot and a whole number below 2**53, "
        "such as g7Qx.1795887678285000, as an event or an answer of the server gave it"
    )


def with_position(frame: bytes, position: str, event_id: str | None = None) -> bytes:
    """Return an event's frame with its position, and the id if there is one, as its last fields."""
    identity = "" if event_id is None else f',"id":"{event_id}"'
    return with_end(frame, f'{identity},"position":"{position}"}}'.encode())


def with_id(frame: bytes, event_id: str) -> bytes:
    """Return the frame of an event that has no position yet, with its id as its last field."""
    return with_end(frame, f',"id":"{event_id}"}}'.encode())


def position_of(frame: bytes) -> str | None:
    """Return the position at the end of an event's frame; None if it has none."""
    match = _LAST_FIELD.search(frame, max(0, len(frame) - 64))
    return None if match is None else match[1].decode()

"""Messages of a server, decoded: frames, and the events that programs get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import msgspec

from soundpost.errors import JsonError
from soundpost.wire.foreign import object_in
from soundpost.wire.json_text import read_json, reader
from soundpost.wire.positions import Position, PositionError, parse_position

INTERNAL: Final = "pusher_internal:"
GAP: Final = "soundpost:gap"
"""Name of the server's message about missing events."""


@dataclass(frozen=True)
class ReceivedEvent:
    """An event of a channel, or of the connection where ``channel`` is None (``pusher:error``).

    ``raw`` is the data as it was sent: a string for events of the HTTP API, any JSON value for client events.
    ``user_id`` is the sender of a client event on a presence channel. Events of the protocol have the names of
    pusher-js: ``pusher:member_added``, ``pusher:cache_miss``. ``soundpost.client.Event`` is this class.
    """

    name: str
    channel: str | None
    raw: Any
    user_id: str | None = None
    size: int = field(default=0, compare=False, repr=False)
    """Bytes of the message that carried the event."""
    position: str | None = None
    """Position after the event in the channel's history, for ``subscribe(…, after=…)``; None without a history."""

    @cached_property
    def data(self) -> Any:
        """The data: the value of a string that is JSON, all else as it was sent; the rule of pusher-js."""
        if not isinstance(self.raw, str):
            return self.raw
        try:
            return read_json(self.raw)
        except JsonError:
            return self.raw

    @property
    def is_protocol(self) -> bool:
        """True if the server itself sent the event, not an application or a client."""
        return self.name.startswith("pusher:")


class Frame(msgspec.Struct):
    """The envelope of every message of a server."""

    event: str
    channel: str | None = None
    data: Any = None
    user_id: str | None = None
    size: int = msgspec.field(default=0, name="soundpost:size")
    """Bytes of the message, set by :func:`decode_frame`."""
    position: Any = None
    id: Any = None
    resumed: Any = None
    gap: Any = None

    @property
    def parsed_position(self) -> Position | None:
        """The position; None for a message without one, or with one that cannot be read."""
        if not isinstance(self.position, str):
            return None
        try:
            return parse_position(self.position)
        except PositionError:
            return None

    @property
    def is_protocol(self) -> bool:
        """True if the server itself sent the frame, not an application or a client."""
        return self.event.startswith(("pusher:", INTERNAL))

    def to_event(self) -> ReceivedEvent:
        """Return the event for the program, which sees ``pusher_internal:member_added`` as ``pusher:member_added``."""
        name = f"pusher:{self.event[len(INTERNAL) :]}" if self.event.startswith(INTERNAL) else self.event
        position = None if self.parsed_position is None else str(self.parsed_position)
        return ReceivedEvent(name, self.channel, self.data, self.user_id, self.size, position)

    def content(self) -> dict[str, Any]:
        """Return ``data`` as a dictionary, sent as an object or as JSON in a string; an empty one for all else."""
        value = self.data
        if isinstance(value, str):
            value = object_in(value)
        return value if isinstance(value, dict) else {}


_read: Final[Callable[[str | bytes], Frame]] = reader(Frame)


def decode_frame(text: str | bytes) -> Frame | None:
    """Return a server's message decoded; None for a text that is none, or that is nested too deeply."""
    try:
        frame = _read(text)
    except JsonError:
        return None
    frame.size = len(text)
    return frame

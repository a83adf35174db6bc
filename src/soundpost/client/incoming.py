"""What a server sends, decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import msgspec

from soundpost.errors import JsonError
from soundpost.wire.foreign import object_in
from soundpost.wire.json_text import read_json, reader

INTERNAL: Final = "pusher_internal:"


@dataclass(frozen=True)
class Event:
    """An event of a channel; of the connection itself where ``channel`` is None (``pusher:error``).

    ``raw`` is its data as it was sent: a string for what was published over the HTTP API, any JSON value for a
    client's event. ``user_id`` is the sender of a client's event on a presence channel. The protocol's own events have
    pusher-js's names: ``pusher:member_added``, ``pusher:cache_miss``.
    """

    name: str
    channel: str | None
    raw: Any
    user_id: str | None = None
    size: int = field(default=0, compare=False, repr=False)
    """Bytes of the message that brought it."""

    @cached_property
    def data(self) -> Any:
        """Its data: the value of a string that is JSON, everything else as it was sent. The rule of pusher-js."""
        if not isinstance(self.raw, str):
            return self.raw
        try:
            return read_json(self.raw)
        except JsonError:
            return self.raw

    @property
    def is_protocol(self) -> bool:
        """Sent by the server itself, not by an application or a client."""
        return self.name.startswith("pusher:")


class Frame(msgspec.Struct):
    """The envelope of everything a server sends."""

    event: str
    channel: str | None = None
    data: Any = None
    user_id: str | None = None
    size: int = msgspec.field(default=0, name="soundpost:size")
    """Bytes of the message, counted here."""

    @property
    def is_protocol(self) -> bool:
        """Sent by the server itself, not by an application or a client."""
        return self.event.startswith(("pusher:", INTERNAL))

    def to_event(self) -> Event:
        """As it is handed on: ``pusher_internal:member_added`` is ``pusher:member_added`` to applications."""
        name = f"pusher:{self.event[len(INTERNAL) :]}" if self.event.startswith(INTERNAL) else self.event
        return Event(name, self.channel, self.data, self.user_id, self.size)

    def content(self) -> dict[str, Any]:
        """``data`` as an object, sent as one or as a JSON string of one; empty for anything else."""
        value = self.data
        if isinstance(value, str):
            value = object_in(value)
        return value if isinstance(value, dict) else {}


_read: Final[Callable[[str | bytes], Frame]] = reader(Frame)


def decode_frame(text: str | bytes) -> Frame | None:
    """A server's message; None for what is none, or is nested too deeply."""
    try:
        frame = _read(text)
    except JsonError:
        return None
    frame.size = len(text)
    return frame

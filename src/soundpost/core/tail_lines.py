"""Lines of a tail: messages in readable form, gathered for sending."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from soundpost.core.inspection import TailLine, TailLines
from soundpost.core.outbox import CallLater
from soundpost.core.readable_messages import readable, without_signatures
from soundpost.errors import JsonError
from soundpost.wire.json_text import reader

PERIOD: Final = 0.2
"""Seconds in which lines are gathered before they are sent together."""
MAX_LINES: Final = 100
"""Largest number of lines that are sent together; further ones are counted."""
_MAX_DATA: Final = 2_000


class Words(NamedTuple):
    """A message of the Pusher protocol in readable form."""

    event: str
    channel: str
    data: str


class _Subscription(Struct):
    channel: str = ""


_read_subscription: Final = reader(_Subscription)


def words_of(payload: bytes) -> Words:
    """Return a message in readable form, without signatures. Of data that is a JSON string, the content is returned.

    The channel of ``pusher:subscribe`` and similar messages is the one in their data. A text that is not a message of
    the protocol is returned unchanged as data.
    """
    message = readable(payload)
    if message is None:
        return Words("", "", _shown(payload[: 4 * _MAX_DATA].decode(errors="replace")))
    text = message.data or ""
    return Words(message.event, message.channel or _channel_in(message.event, text), _shown(text))


def _channel_in(event: str, data: str) -> str:
    if not event.startswith("pusher:"):
        return ""
    try:
        subscription: _Subscription = _read_subscription(data.encode())
    except (JsonError, UnicodeError):
        return ""
    return subscription.channel


def _shown(text: str) -> str:
    text = without_signatures(text[: 2 * _MAX_DATA])
    text = text.encode(errors="replace").decode()  # half of a surrogate pair cannot be encoded
    return text if len(text) <= _MAX_DATA else f"{text[:_MAX_DATA]}…"


class GatheredLines:
    """Lines that are sent together, :data:`PERIOD` seconds after the first line.

    ``send`` gets the lines and the number of lines that were left out.
    """

    def __init__(self, send: Callable[[list[TailLine], int], None], call_later: CallLater) -> None:
        self._send = send
        self._call_later = call_later
        self._lines: list[TailLine] = []
        self._left_out = 0
        self._is_scheduled = False

    @property
    def is_full(self) -> bool:
        """True if a further line would be left out."""
        return len(self._lines) >= MAX_LINES

    def add(self, line: TailLine) -> None:
        """Add a line, or count it if there are too many."""
        if self.is_full:
            self._left_out += 1
        else:
            self._lines.append(line)
        self._schedule()

    def leave_out(self, number: int = 1) -> None:
        """Count lines that are left out before they are built."""
        self._left_out += number
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_later(PERIOD, self._flush)

    def _flush(self) -> None:
        self._is_scheduled = False
        lines, self._lines = self._lines, []
        left_out, self._left_out = self._left_out, 0
        self._send(lines, left_out)


class LimitedLines:
    """Limit of the lines of all nodes together to as many as one node may send; other lines count as left out.

    ``clock`` is in seconds.
    """

    def __init__(self, on_lines: Callable[[TailLines], None], clock: Callable[[], float]) -> None:
        self._on_lines = on_lines
        self._clock = clock
        self._period_ends = 0.0
        self._room = MAX_LINES

    def __call__(self, lines: TailLines) -> None:
        """Hand on the lines of one node."""
        now = self._clock()
        if now >= self._period_ends:
            self._period_ends, self._room = now + PERIOD, MAX_LINES
        taken = lines.lines[: self._room]
        self._room -= len(taken)
        left_out = lines.left_out + len(lines.lines) - len(taken)
        self._on_lines(lines if len(taken) == len(lines.lines) else replace(lines, lines=taken, left_out=left_out))

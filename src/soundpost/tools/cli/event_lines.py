"""Events as lines: for people, or for programs."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import typer

from soundpost.client.incoming import ReceivedEvent
from soundpost.wire.json_text import encode
from soundpost.wire.printable import printable


class EventLines:
    """Formatter of events: time, channel, name, data; or one JSON object each."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._width = 0
        self._coloured = sys.stdout.isatty()

    def text(self, event: ReceivedEvent) -> str:
        """Return the line of an event that came just now, without a line break.

        As JSON, ``data`` is what was sent: a string for an event published over the HTTP API. ``user_id`` and
        ``position`` are there if the event has them.
        """
        now = time.time()
        if self._as_json:
            stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = {"time": stamp, "channel": event.channel, "event": event.name, "data": event.raw}
            more = {"user_id": event.user_id, "position": event.position}
            line |= {name: value for name, value in more.items() if value is not None}
            return printable(encode(line).decode())
        stamp = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
        channel = printable(event.channel or "")
        self._width = max(self._width, len(channel))
        data = event.raw if isinstance(event.raw, str) else encode(event.raw).decode()
        sender = f"  (from {printable(event.user_id)})" if event.user_id is not None else ""
        return (
            f"{self._style(stamp, dim=True)}  {self._style(channel.ljust(self._width), fg='cyan')}  "
            f"{self._style(printable(event.name), bold=True)}  {printable(data)}{sender}"
        )

    def _style(self, text: str, *, fg: str | None = None, bold: bool | None = None, dim: bool | None = None) -> str:
        return typer.style(text, fg=fg, bold=bold, dim=dim) if self._coloured else text

"""The output of ``--debug``: a line for each message, as it happens."""

from __future__ import annotations

import re
import time
from typing import Final, TextIO

from soundpost.core.channel import Channel
from soundpost.core.connection import Connection
from soundpost.core.observer import Observer
from soundpost.server.connections.peer import shown
from soundpost.server.processes.logs import stderr
from soundpost.wire.frames import frame_payload

_CUT: Final = 400
_AUTH: Final = re.compile(r'("auth"\s*:\s*")[^"]+')


class MessageStream(Observer):
    """An observer that prints a line for each message, without signatures."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or stderr()

    def connection_opened(self, connection: Connection) -> None:
        """Print that a client connected."""
        self._line("opened", connection.socket_id, f"app {connection.app.settings.id} from {shown(connection.address)}")

    def connection_closed(self, connection: Connection) -> None:
        """Print that a client left."""
        self._line("closed", connection.socket_id)

    def message_received(self, connection: Connection, payload: bytes) -> None:
        """Print a message of a client."""
        self._line("received", connection.socket_id, _readable(payload))

    def message_sent(self, connection: Connection, frame: bytes) -> None:
        """Print a message to one client."""
        self._line("sent", connection.socket_id, _readable(frame_payload(frame)))

    def event_queued(self, channel: Channel, frame: bytes) -> None:
        """Print a message to all subscribers of a channel."""
        count = len(channel.subscribers)
        self._line("broadcast", f"{channel.name} ({count})", _readable(frame_payload(frame)))

    def output_overflowed(self, connection: Connection) -> None:
        """Print that a client was too slow."""
        self._line("overflowed", connection.socket_id)

    def _line(self, what: str, who: str, text: str = "") -> None:
        now = time.time()
        stamp = time.strftime("%H:%M:%S", time.localtime(now))
        line = f"{stamp}.{int(now % 1 * 1000):03d}  {what:<10} {who:<28} {text}".rstrip()
        self._out.write(f"{line}\n")


def _readable(payload: bytes) -> str:
    text = payload.decode(errors="replace").replace('\\"', '"')
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    text = _AUTH.sub(r"\1…", text)
    return text if len(text) <= _CUT else f"{text[:_CUT]}… ({len(payload)} bytes)"

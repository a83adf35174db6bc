"""The output of ``--debug``: a line for each message, as it happens."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final, TextIO

from soundpost.core.app import App
from soundpost.core.channel import Channel
from soundpost.core.connection import Connection
from soundpost.core.observer import Observer
from soundpost.core.peers import ChannelQuery, OutgoingEvent
from soundpost.core.readable_messages import readable, without_signatures
from soundpost.server.connections.peer import shown
from soundpost.server.processes.log_formats import LogFormat
from soundpost.server.processes.logs import log_format, stderr
from soundpost.wire.frames import frame_payload
from soundpost.wire.printable import printable

_LOGGER: Final = "soundpost.messages"
_CUT: Final = 400


class MessageStream(Observer):
    """An observer that prints a line for each message, without signatures; with several apps the line names its app.

    Where the log is JSON, so is each line: at the level DEBUG, of the logger ``soundpost.messages``.
    """

    def __init__(self, out: TextIO | None = None, form: LogFormat | None = None) -> None:
        """Print messages to ``out`` (stderr by default) in the form ``form`` (by default that of the log)."""
        self._out = out or stderr()
        self._form = form or log_format()

    def connection_opened(self, connection: Connection) -> None:
        """Print that a client connected."""
        app = connection.app
        of_app = "" if _is_one_of_several(app) else f"app {app.settings.id} "
        text = f"{of_app}from {shown(connection.address)}"
        self._line(app, "opened", connection.socket_id, text, socket=connection.socket_id, address=connection.address)

    def connection_closed(self, connection: Connection) -> None:
        """Print that a client left."""
        self._of_client(connection, "closed")

    def message_received(self, connection: Connection, payload: bytes) -> None:
        """Print a message of a client."""
        self._of_client(connection, "received", _readable(payload))

    def message_sent(self, connection: Connection, frame: bytes) -> None:
        """Print a message to one client."""
        self._of_client(connection, "sent", _readable(frame_payload(frame)))

    def event_published(self, app: App, event: OutgoingEvent) -> None:
        """Print an application's event that nobody gets: on no node is anybody subscribed to its channel."""
        channel = app.channels.get(event.channel)
        if channel is not None and channel.subscribers:
            return  # no other node need be asked
        query = ChannelQuery(app.settings.id, [event.channel], ["subscription_count"])
        app.node.peers.ask(query, partial(self._print_without_subscribers, app, event))

    def event_queued(self, channel: Channel, frame: bytes, recipients: int) -> None:
        """Print a message to subscribers of a channel, with their number on this node, without the excluded sender."""
        shown_count = str(recipients) if recipients else "nobody but the sender"
        who, text = f"{channel.name} ({shown_count})", _readable(frame_payload(frame), channel.name)
        self._line(channel.app, "broadcast", who, text, channel=channel.name, recipients=recipients)

    def subscription_resumed(self, connection: Connection, channel: Channel, following: int) -> None:
        """Print that a client goes on in a channel's history; each event that it is sent has a line of its own."""
        events = "event follows" if following == 1 else "events follow"
        self._of_client(connection, "resumed", f"{channel.name}: {following} {events}")

    def gap_sent(self, connection: Connection, channel: Channel, reason: str) -> None:
        """Print that a client missed events which are not kept any more."""
        self._of_client(connection, "gap", f"{channel.name}: {reason}")

    def output_overflowed(self, connection: Connection) -> None:
        """Print that a client was too slow."""
        self._of_client(connection, "overflowed")

    def _print_without_subscribers(self, app: App, event: OutgoingEvent, answer: list[dict[str, Any]]) -> None:
        if not answer[0].get("subscription_count"):
            who = "nobody is subscribed" if app.node.peers.reaches_all else "nobody on this host is subscribed"
            kept = ", kept for the next subscriber" if event.keep else ""
            if event.id is not None:
                kept = ", kept in the history"
            message = _readable(frame_payload(event.frame), event.channel)
            who = f"{event.channel} ({who}{kept})"
            self._line(app, "published", who, message, channel=event.channel, recipients=0)

    def _of_client(self, connection: Connection, what: str, text: str = "") -> None:
        self._line(connection.app, what, connection.socket_id, text, socket=connection.socket_id)

    def _line(self, app: App, what: str, who: str, text: str = "", **found: object) -> None:
        now = time.time()
        if self._form.name == "json":
            said = f"{what} {who} {text}".rstrip()
            of_line = {"app": app.settings.id, "what": what, **found}
            self._out.write(f"{self._form.line(now, 'DEBUG', _LOGGER, said, of_line)}\n")
            return
        of_app = f"app {app.settings.id:<8} " if _is_one_of_several(app) else ""
        stamp = time.strftime("%H:%M:%S", time.localtime(now))
        line = f"{stamp}.{int(now % 1 * 1000):03d}  {what:<10} {of_app}{who:<28} {text}".rstrip()
        self._out.write(f"{line}\n")


def _is_one_of_several(app: App) -> bool:
    """Return whether a line must say to which app it belongs; an app that was removed at a reload counts too."""
    return list(app.node.by_id) != [app.settings.id]


def _readable(payload: bytes, channel: str | None = None) -> str:
    """Return a message in words: channel (unless it is ``channel``), event and data, ready to be pasted.

    Data that is a JSON string is shown as the text in it. Anything but a message of the Pusher protocol is shown as is.
    """
    message = readable(payload)
    if message is None:
        text = payload.decode(errors="replace")
    else:
        text = message.event if message.channel in (None, channel) else f"{message.channel} {message.event}"
        text += "" if message.data is None else f" {message.data}"
        text += "" if message.user_id is None else f" (from user {message.user_id})"
    text = without_signatures(printable(text))
    return text if len(text) <= _CUT else f"{text[:_CUT]}… ({len(payload)} bytes)"

"""A tail: live lines about the events of one channel, user or socket of a node, or of a whole app.

A running tail is an observer of its node. Without a tail there is no cost. Messages that a tail does not show are
skipped before anything is decoded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from soundpost.core.history_rules import channel_matcher
from soundpost.core.inspection import RefusalLine, StartTail, TailLine, TailLines, TailWhat
from soundpost.core.observer import Observer
from soundpost.core.refusals import without_secrets
from soundpost.core.tail_lines import GatheredLines, words_of
from soundpost.wire import messages
from soundpost.wire.frames import frame_payload

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.core.channel import Channel
    from soundpost.core.connection import Connection
    from soundpost.core.node import Node
    from soundpost.core.peers import OutgoingEvent

LASTS: Final = 30
"""Seconds after which a tail ends, unless it is started again."""
_MAX_SOCKETS: Final = 1_000
_HEARTBEATS: Final = (messages.PING, messages.PONG)
_MAX_SIGN_LENGTH: Final = 64
_TEXT: Final = b"\x81"
"""First byte of a text frame."""
_LITERAL: Final = re.compile(rb"[-a-zA-Z0-9_=@,.;]+")


class Tail(Observer):
    """A tail on one node. ``clock`` is in seconds since 1970; ``on_lines`` gets the lines."""

    def __init__(
        self,
        node: Node,
        start: StartTail,
        on_lines: Callable[[TailLines], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._node = node
        self._clock = clock
        self._id = start.tail_id
        self._app_id = start.app_id
        self._user_id = start.user_id
        self._socket_id = start.socket_id
        self._channel = start.channel
        self._matches = _matcher(start.channel)
        self._needle = _needle(start.channel)
        self._user_sockets: set[str] = set()  # sockets on which the user was seen: a closed one has no user
        self.on_lines = on_lines
        self._lines = GatheredLines(self._send, node.call_later)
        self.ends_at = node.clock() + LASTS
        """Time of the node's clock when the tail ends."""

    @property
    def has_ended(self) -> bool:
        """True if the tail was not started again in time."""
        return self._node.clock() >= self.ends_at

    def renew(self, on_lines: Callable[[TailLines], None]) -> None:
        """Continue for another :data:`LASTS` seconds."""
        self.on_lines = on_lines
        self.ends_at = self._node.clock() + LASTS

    # Observer

    def connection_opened(self, connection: Connection) -> None:
        """Show that a client connected."""
        if not self._channel and self._shows(connection):
            self._add("opened", connection, detail=_whence(connection))

    def connection_closed(self, connection: Connection) -> None:
        """Show that a client left."""
        if not self._channel and (self._shows(connection) or connection.socket_id in self._user_sockets):
            self._user_sockets.discard(connection.socket_id)
            self._add("closed", connection)

    def message_received(self, connection: Connection, payload: bytes) -> None:
        """Show a message of a client."""
        if self._shows(connection) and self._needle in payload and not self._is_heartbeat(payload):
            self._add_message("received", connection, payload)

    def message_sent(self, connection: Connection, frame: bytes) -> None:
        """Show a message to one client."""
        if (
            self._shows(connection)
            and self._needle in frame
            and frame[:1] == _TEXT
            and (self._user_id or self._socket_id or frame not in _HEARTBEATS)
        ):
            self._add_message("sent", connection, frame_payload(frame))

    def event_published(self, app: App, event: OutgoingEvent) -> None:
        """Show an application's event that nobody on this node is subscribed to."""
        if app.settings.id != self._app_id or self._user_id or self._socket_id or not self._matches(event.channel):
            return
        channel = app.channels.get(event.channel)
        if channel is None or not channel.subscribers:
            self._add_words("published", frame_payload(event.frame), recipients=0)

    def event_queued(self, channel: Channel, frame: bytes, recipients: int) -> None:
        """Show a message to subscribers of a channel."""
        if channel.app.settings.id != self._app_id or not self._matches(channel.name):
            return
        if (self._user_id or self._socket_id) and not self._reaches(channel):
            return
        self._add_words("broadcast", frame_payload(frame), recipients=recipients)

    def subscription_resumed(self, connection: Connection, channel: Channel, following: int) -> None:
        """Show that a client resumes in a channel's history."""
        if self._shows(connection) and self._matches(channel.name):
            events = "event follows" if following == 1 else "events follow"
            self._add("resumed", connection, channel=channel.name, detail=f"{following} {events}")

    def gap_sent(self, connection: Connection, channel: Channel, reason: str) -> None:
        """Show that a client missed events which are not kept any more."""
        if self._shows(connection) and self._matches(channel.name):
            self._add("gap", connection, channel=channel.name, detail=reason)

    def output_overflowed(self, connection: Connection) -> None:
        """Show that a client was too slow."""
        if not self._channel and self._shows(connection):
            detail = "closed with 4100: it read too slowly, more than max_output_buffer bytes waited for it"
            self._add("refused", connection, detail=detail)

    def refused(self, refusal: RefusalLine, connection: Connection | None) -> None:
        """Show a refusal. A refused handshake or request belongs to no user and no socket."""
        if refusal.app_id != self._app_id or (self._channel and not self._matches(refusal.channel)):
            return
        if (self._user_id or self._socket_id) and (connection is None or not self._shows(connection)):
            return
        if self._lines.is_full:
            self._lines.leave_out()
        else:
            reason = without_secrets(refusal.reason, self._node.secrets)
            self._add("refused", connection, channel=refusal.channel, detail=reason)

    # Filter

    def _shows(self, connection: Connection) -> bool:
        """Return True if app, user and socket of a connection match the tail."""
        app = connection.app
        if app.settings.id != self._app_id:
            return False
        if self._socket_id and connection.socket_id != self._socket_id:
            return False
        return not self._user_id or self._is_users(app, connection)

    def _is_users(self, app: App, connection: Connection) -> bool:
        user_id = self._user_id
        if connection in app.users.get(user_id, ()) or connection in app.member_connections.get(user_id, ()):
            if len(self._user_sockets) < _MAX_SOCKETS:
                self._user_sockets.add(connection.socket_id)
            return True
        return False

    def _reaches(self, channel: Channel) -> bool:
        """Return True if the frame that was queued last on a channel goes to the tail's user or socket."""
        app = channel.app
        connections: Iterable[Connection] = [
            *app.users.get(self._user_id, ()),
            *app.member_connections.get(self._user_id, ()),
        ]
        if self._socket_id:
            connection = app.connections.get(self._socket_id)
            connections = (
                () if connection is None or (self._user_id and connection not in connections) else (connection,)
            )
        return any(channel.gets_last(connection) for connection in connections)

    def _is_heartbeat(self, payload: bytes) -> bool:
        """Return True for a ping or pong; an app can have very many of them."""
        if self._user_id or self._socket_id or len(payload) > _MAX_SIGN_LENGTH:
            return False
        return b"pusher:pong" in payload or b"pusher:ping" in payload

    # Lines

    def _add_message(self, what: TailWhat, connection: Connection, payload: bytes) -> None:
        self._add_words(what, payload, socket_id=connection.socket_id)

    def _add_words(self, what: TailWhat, payload: bytes, *, socket_id: str = "", recipients: int | None = None) -> None:
        if self._lines.is_full:
            self._lines.leave_out()
            return
        words = words_of(payload)
        if self._channel and not self._matches(words.channel):
            return
        self._lines.add(
            TailLine(self._clock(), what, socket_id, words.channel, words.event, words.data, recipients=recipients)
        )

    def _add(self, what: TailWhat, connection: Connection | None, *, channel: str = "", detail: str = "") -> None:
        socket_id = "" if connection is None else connection.socket_id
        self._lines.add(TailLine(self._clock(), what, socket_id, channel, detail=detail))

    def _send(self, lines: list[TailLine], left_out: int) -> None:
        self.on_lines(TailLines(self._id, lines, left_out))


def _matcher(channel: str) -> Callable[[str], object]:
    """Return a function that returns True for a channel name that the tail shows. A name without ``*`` is compared."""
    if not channel:
        return lambda name: True
    return channel_matcher((channel,)) if "*" in channel else channel.__eq__


def _needle(channel: str) -> bytes:
    """Return bytes that every message about the channel, or about the pattern's channels, contains."""
    found = _LITERAL.findall(channel.encode(errors="replace"))
    return max(found, key=len, default=b"")


def _whence(connection: Connection) -> str:
    library, origin = connection.client
    return ", ".join(part for part in (connection.address, library, origin) if part)

"""A node: the apps of one process, and its connection to the other nodes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

from soundpost.core import former_ids, presence_grace, reports, resumption, subscriptions, users, watchlists
from soundpost.core.app import App
from soundpost.core.app_settings import AppSettings
from soundpost.core.connection import Connection, SocketIds
from soundpost.core.figures import NodeFigures
from soundpost.core.gathered_notices import MemberNotice
from soundpost.core.inspection import Question, Reply, StartTail, TailLines
from soundpost.core.node_inspection import NodeInspection
from soundpost.core.observer import Observer, notify
from soundpost.core.observer_events import ObserverEvent
from soundpost.core.outbox import CallLater, CallSoon, Outbox, never
from soundpost.core.peers import Peers
from soundpost.core.publishing import new_ids
from soundpost.core.refusal_log import RefusalLog
from soundpost.core.refusals import Refusals
from soundpost.log_throttle import LogThrottle
from soundpost.wire import codes, messages

Deliver = Callable[[Iterable[Connection], bytes], None]
"""Function that writes the same bytes to many connections."""


def write_each(connections: Iterable[Connection], data: bytes) -> None:
    """Write the same bytes to many connections, one after the other."""
    for connection in connections:
        connection.write(data)


class Node:
    """The state of one process.

    ``clock`` is in seconds, ``wall_clock`` in seconds since 1970. ``call_soon`` and ``call_later`` are the loop's,
    ``deliver`` writes to many connections.
    """

    def __init__(
        self,
        apps: Iterable[AppSettings],
        *,
        peers: Peers,
        call_soon: CallSoon,
        deliver: Deliver = write_each,
        call_later: CallLater = never,
        compress: Callable[[bytes], bytes] | None = None,
        observers: Iterable[Observer] = (),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.figures = NodeFigures()
        """Counts of what has happened on the node, also in apps that a reload has removed."""
        self.call_soon = call_soon
        self.call_later = call_later
        self.log_throttle = LogThrottle(logging.getLogger("soundpost.protocol"), clock, call_later)
        self.peers = peers
        self.deliver = deliver
        self.compress = compress
        """Function that returns a frame in a compressed form, or the frame itself; None without compression."""
        self.observers = tuple(observers)
        self.wall_clock = wall_clock
        self._second = 0
        self.refusals = Refusals()
        self.refusal_log = RefusalLog(lambda: self.secrets, clock, call_later)
        self.inspection = NodeInspection(self)
        self.socket_ids = SocketIds()
        self.event_ids = new_ids()
        """Ids for events that histories keep. A node never changes its process, so no two nodes make the same id."""
        self.outbox = Outbox(call_soon, call_later, peers.flush, deliver, clock)
        self.replay_queue = resumption.ReplayQueue(call_soon, clock)
        self._secrets: frozenset[str] | None = None
        self.by_id: dict[str, App] = {}
        self.by_key: dict[str, App] = {}
        for settings in apps:
            self.by_id[settings.id] = self.by_key[settings.key] = App(self, settings)
        peers.attach(self)

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets of all apps, which no log or dashboard shows."""
        if self._secrets is None:
            self._secrets = frozenset(app.settings.secret for app in self.by_id.values())
        return self._secrets

    def reconfigure(self, apps: Iterable[AppSettings]) -> None:
        """Serve other apps, or the same apps with new settings. Connections of apps that remain stay open."""
        before, self.by_id, self.by_key = self.by_id, {}, {}
        self._secrets = None
        for settings in apps:
            app = before.pop(settings.id, None) or App(self, settings)
            app.configure(settings)
            self.by_id[settings.id] = self.by_key[settings.key] = app
            if not settings.enabled:
                app.end_all(codes.APP_DISABLED, "Application is disabled")
        for app in before.values():
            app.end_all(codes.APP_DOES_NOT_EXIST, "Application does not exist any more")

    def opened(self, connection: Connection, preface: bytes = b"") -> None:
        """Add an admitted connection, and send ``preface`` (the handshake's answer) and its hello in one write."""
        app = connection.app
        app.connections[connection.socket_id] = connection
        app.figures.opened += 1
        second = int(self.wall_clock())
        if second != self._second:
            self._second = second
        connection.since = self._second
        if app.authorization_timeout is not None:
            app.unauthorized[connection] = self.clock()
        hello = messages.connection_established(connection.socket_id, app.activity_timeout)
        for observer in self.observers:
            observer.connection_opened(connection)
            observer.message_sent(connection, hello)
        connection.write(preface + hello)
        if app.reports:
            reports.connection_opened(connection)
        if app.closed_with is not None:
            connection.end(*app.closed_with)

    def closed(self, connection: Connection, code: int | None = None) -> None:
        """Remove a closed connection and its subscriptions. The time grows with the connection's own channels only.

        ``code`` is the close frame's, sent by client or server; None for a connection lost without a close frame.
        """
        app = connection.app
        if app.connections.pop(connection.socket_id, None) is None:
            return
        app.figures.closed += 1
        app.unauthorized.pop(connection, None)
        if connection.former_ids:
            former_ids.forget(connection)
        linger = presence_grace.take_grace(connection)
        subscriptions.leave_all(connection, linger)
        user = connection.user
        if user is not None:
            users.sign_out(connection, user, linger)
        self.peers.release(app.id, app.counted_addresses.pop(connection.socket_id, None))
        if app.reports or app.origins:
            reports.connection_closed(connection, None if user is None else user.id, code)
        for observer in self.observers:
            observer.connection_closed(connection)

    def after_sending(self, callback: Callable[[], None]) -> None:
        """Call back once all events published up to now have their place in the order of all nodes, and this node has
        sent its subscribers theirs."""
        if self.peers.is_settled:
            self.outbox.after_flush(callback)
        else:
            self.peers.after_publishes(partial(self.outbox.after_flush, callback))

    def every_second(self) -> None:
        """Do the work that is due every second."""
        now = self.clock()
        for app in self.by_id.values():
            if app.unauthorized:
                app.end_unauthorized(now)

    def housekeep(self) -> None:
        """Do periodic work that need not be done at once. Called every few seconds."""
        self.peers.housekeep()

    @property
    def has_observers(self) -> bool:
        """True if the node has observers."""
        return bool(self.observers)

    # PeersHandler: calls of the backplane

    def deliver_event(
        self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None, kept: bool = False
    ) -> None:
        """Deliver an event to the channel's subscribers on this node, except one socket."""
        app = self.by_id.get(app_id)
        if app is not None:
            app.deliver(channel, frame, except_socket_id, kept)

    def deliver_events(self, app_id: str, channel: str, frames: list[bytes], except_socket_id: str | None) -> None:
        """Deliver several events to the channel's subscribers on this node, except one socket."""
        app = self.by_id.get(app_id)
        found = None if app is None else app.channels.get(channel)
        if app is not None and found is not None and found.subscribers:
            excluded = () if except_socket_id is None else app.connections_of(except_socket_id)
            for frame in frames:
                found.queue(frame, excluded)

    def lose_history(self, app_id: str, channel: str, reason: str, position: str) -> None:
        """Tell the channel's subscribers that can resume of a gap."""
        app = self.by_id.get(app_id)
        found = None if app is None else app.channels.get(channel)
        if found is not None:
            resumption.broadcast_gap(found, reason, position)

    def deliver_notice(self, app_id: str, channel: str, notice: MemberNotice) -> None:
        """Deliver a notice of a large presence channel to its subscribers here, gathered with further ones."""
        app = self.by_id.get(app_id)
        found = None if app is None else app.channels.get(channel)
        if found is not None and found.subscribers:
            found.gather(notice)

    def terminate(self, app_id: str, user_id: str) -> None:
        """Close all connections of a user on this node."""
        app = self.by_id.get(app_id)
        if app is not None:
            users.terminate(app, user_id)

    def deliver_user_status(self, app_id: str, user_id: str, is_online: bool) -> None:
        """Tell the clients of this node that watch a user that the user has come online or gone offline."""
        app = self.by_id.get(app_id)
        if app is not None:
            watchlists.change(app, user_id, is_online)

    def inspect(self, question: Question, then: Callable[[Reply], None]) -> None:
        """Reply to a question of operators."""
        self.inspection.reply(question, then)

    def start_tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> None:
        """Begin a tail, or keep it going."""
        self.inspection.start_tail(start, on_lines)

    def stop_tail(self, tail_id: str) -> None:
        """End a tail."""
        self.inspection.stop_tail(tail_id)

    def observe(self, event: ObserverEvent) -> None:
        """Hand an event about a channel or member to all observers."""
        for observer in self.observers:
            notify(observer, event)

"""One app on one node: its connections, channels and signed-in users."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from soundpost.core import liveness
from soundpost.core.channel import Channel
from soundpost.core.figures import AppFigures
from soundpost.core.history_rules import HistoryRules
from soundpost.core.replay_allowances import ReplayAllowances
from soundpost.wire import codes
from soundpost.wire.channel_names import Kind
from soundpost.wire.origins import origins
from soundpost.wire.signatures import HmacKey

if TYPE_CHECKING:
    from soundpost.core.app_settings import AppSettings
    from soundpost.core.connection import Connection
    from soundpost.core.node import Node
    from soundpost.core.reports import Origin
    from soundpost.core.watchlists import Watched, Watchlist


_AT_ONCE: Final = 500
"""Number of connections closed in one loop turn, which takes some 5 ms."""


class App:
    """One app on one node."""

    def __init__(self, node: Node, settings: AppSettings) -> None:
        self.node = node
        self.id = settings.id
        self.figures = node.figures.apps.setdefault(settings.id, AppFigures())
        self.connections: dict[str, Connection] = {}
        """Connections by socket id."""
        self.former_connections: dict[str, list[Connection]] = {}
        """Connections by an earlier socket id that their clients have named."""
        self.counted_addresses: dict[str, str] = {}
        """Address under which a connection is counted, by socket id, if the app has ``max_connections_per_ip``."""
        self.origins: dict[str, Origin] = {}
        """Origin of each connection, by socket id. Empty if no webhook endpoint gets events about connections."""
        self.replay_allowances = ReplayAllowances()
        """Allowance of each client address: bytes of missed events that the server still sends to its clients."""
        self.channels: dict[str, Channel] = {}
        """Channels by name that have subscribers on this node, or pending ones."""
        self.users: dict[str, set[Connection]] = {}
        """Signed-in connections by user id."""
        self.watched: dict[str, Watched] = {}
        """Users whom connections on this node watch, by user id."""
        self.watchlists: dict[Connection, Watchlist] = {}
        """The watchlist of each connection that has one."""
        self.unauthorized: dict[Connection, float] = {}
        """Connections that must still sign in or join a private channel, with their time of opening, oldest first."""
        self.member_connections: dict[str, dict[Connection, int]] = {}
        """Connections of members by user id, each with its number of presence channels, pending ones included."""
        self.graces: dict[Connection, float] = {}
        """Seconds that members stay, by connection that the server closes; see :mod:`.presence_grace`."""
        self.closed_with: tuple[int, str] | None = None
        """Close code and message for all connections, if a reload has disabled or removed the app."""
        self.configure(settings)

    def configure(self, settings: AppSettings) -> None:
        """Use new settings from now on."""
        self.settings, self.closed_with = settings, None
        self.history_rules = HistoryRules(settings.history)
        self.reports = settings.reports
        """Names of the events that any endpoint of the app wants; see :mod:`.reports`."""
        # Copies of the settings that every publish, connection or message needs. Compiled code reads an attribute of
        # the settings object much more slowly.
        self.enabled = settings.enabled
        self.ping_after = liveness.ping_after(settings)
        self.activity_timeout = settings.activity_timeout
        self.authorization_timeout = settings.authorization_timeout
        self.max_connections_per_ip = settings.max_connections_per_ip
        self.max_message_size = settings.max_message_size
        self.max_subscriptions = settings.max_subscriptions
        self.is_rate_limited = settings.rate_limiting.enabled
        self.allows_all_origins = origins(settings.allowed_origins).any
        self.has_history = bool(settings.history)
        """True if any channel of the app keeps its events."""
        self.hmac_key = HmacKey(settings.secret.encode())
        self.key_parameter = f"auth_key={settings.key}&"
        """Beginning of the parameters that a publisher signs."""
        self.max_channels_per_event = settings.max_channels_per_event
        self.max_channel_name_length = settings.max_channel_name_length
        self.max_event_name_length = settings.max_event_name_length
        self.max_event_data_size = settings.max_event_data_size

    def connections_of(self, socket_id: str) -> list[Connection]:
        """Return the connections whose clients have this socket id, or had it before."""
        connection = self.connections.get(socket_id)
        found = [] if connection is None else [connection]
        return found + self.former_connections.get(socket_id, []) if self.former_connections else found

    def channel(self, name: str, kind: Kind) -> Channel:
        """Return the channel of this name; make it if it has no subscribers here yet."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(self, name, kind)
        return channel

    def deliver(self, channel: str, frame: bytes, except_socket_id: str | None, kept: bool = False) -> None:
        """Deliver an event to the channel's subscribers on this node, except one socket."""
        found = self.channels.get(channel)
        if found is not None and len(found.subscribers):  # quicker than a test of the object itself
            found.queue(frame, () if except_socket_id is None else self.connections_of(except_socket_id), kept)

    def forget_if_empty(self, channel: Channel) -> None:
        """Remove a channel without subscribers and pending subscribers."""
        if not channel.subscribers and not channel.pending_subscribers:
            self.channels.pop(channel.name, None)

    def end_unauthorized(self, now: float) -> None:
        """Close connections unauthorized for longer than ``authorization_timeout`` seconds, at most 500 in a call."""
        limit = self.settings.authorization_timeout
        if limit is None:
            self.unauthorized.clear()
            return
        for connection, since in list(islice(self.unauthorized.items(), _AT_ONCE)):
            if now - since < limit:
                return
            del self.unauthorized[connection]
            connection.end(
                codes.UNAUTHORIZED,
                f"Connection not authorized within timeout: sign in, or subscribe to a private or presence channel, "
                f"within {limit} s (authorization_timeout)",
            )

    def add_membership(self, connection: Connection, user_id: str) -> None:
        """Note that a connection joined one more presence channel as this user."""
        connections = self.member_connections.setdefault(user_id, {})
        connections[connection] = connections.get(connection, 0) + 1

    def remove_membership(self, connection: Connection, user_id: str) -> None:
        """Note that a connection left one presence channel that it had joined as this user."""
        connections = self.member_connections[user_id]
        connections[connection] -= 1
        if not connections[connection]:
            del connections[connection]
            if not connections:
                del self.member_connections[user_id]

    def end_all(self, code: int, message: str) -> None:
        """Close all connections, and those that are about to open."""
        self.closed_with = code, message
        self._end_next(list(self.connections.values()))

    def _end_next(self, connections: list[Connection]) -> None:
        """Close some connections in each loop turn, unless the app has come back meanwhile."""
        if self.closed_with is None:
            return
        for connection in connections[:_AT_ONCE]:
            connection.end(*self.closed_with)
        if len(connections) > _AT_ONCE:
            self.node.call_soon(partial(self._end_next, connections[_AT_ONCE:]))

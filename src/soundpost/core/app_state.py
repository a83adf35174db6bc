"""What one node holds of one app: connections, channels, signed-in users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundpost.core.channel import Channel
from soundpost.wire.channel_names import Kind

if TYPE_CHECKING:
    from soundpost.core.apps import App
    from soundpost.core.connection import Connection
    from soundpost.core.node import Node


class AppState:
    """One app on one node."""

    def __init__(self, node: Node, app: App) -> None:
        self.node = node
        self.app = app
        self.connections: dict[str, Connection] = {}
        """By socket id."""
        self.counted_addresses: dict[str, str] = {}
        """By socket id: under which address a connection is counted, if the app limits how many come from one."""
        self.channels: dict[str, Channel] = {}
        """Channels that have subscribers on this node, or soon will, by name."""
        self.users: dict[str, set[Connection]] = {}
        """Signed-in connections, by user id."""
        self.closed_with: tuple[int, str] | None = None
        """Code and message for its connections, when the app is disabled or gone since a reload."""

    def channel(self, name: str, kind: Kind) -> Channel:
        """The channel of this name, new if nobody is subscribed to it here yet."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(self, name, kind)
        return channel

    def forget_if_empty(self, channel: Channel) -> None:
        """Forget a channel that has no subscribers here any more."""
        if not channel.subscribers and not channel.joining:
            self.channels.pop(channel.name, None)

    def end_all(self, code: int, message: str) -> None:
        """End all connections, and those that are about to open."""
        self.closed_with = code, message
        for connection in list(self.connections.values()):
            connection.end(code, message)

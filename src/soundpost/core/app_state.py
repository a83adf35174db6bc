"""What one node holds of one app: connections, channels, signed-in users, cached events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundpost.core.channel import Channel
from soundpost.core.event_cache import EventCache
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
        self.channels: dict[str, Channel] = {}
        """Occupied channels, by name."""
        self.users: dict[str, set[Connection]] = {}
        """Signed-in connections, by user id."""
        self.cache = EventCache(node.clock)
        self.counts_due: set[Channel] = set()
        """Large channels whose subscription count changed since it was last announced."""

    def occupy(self, name: str, kind: Kind) -> Channel:
        """The channel of this name, new if nobody is subscribed to it yet."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(self, name, kind)
            self.node.peers.subscribe(self.app.id, name)
            for observer in self.node.observers:
                observer.channel_occupied(channel)
        return channel

    def vacate(self, channel: Channel) -> None:
        """Forget a channel that has lost its last subscriber."""
        del self.channels[channel.name]
        self.counts_due.discard(channel)
        self.node.peers.unsubscribe(self.app.id, channel.name)
        for observer in self.node.observers:
            observer.channel_vacated(channel)

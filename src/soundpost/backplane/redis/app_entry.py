"""An app as this host knows it: its connections, node by node, and its channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundpost.backplane.addresses import Addresses
from soundpost.backplane.redis.buckets import bucket_limit
from soundpost.backplane.redis.received import largest_frame
from soundpost.core.app_settings import AppSettings

if TYPE_CHECKING:
    from soundpost.backplane.redis.channel import SharedChannel
    from soundpost.backplane.registry import NodeEnd


class AppEntry:
    """What this host has of an app."""

    def __init__(self, app: AppSettings) -> None:
        self.configure(app)
        self.channels: dict[str, SharedChannel] = {}
        """Those that have subscribers here."""
        self.connections: dict[NodeEnd, int] = {}
        self.addresses = Addresses()

    def configure(self, app: AppSettings) -> None:
        """Its settings, at first and from now on."""
        self.app = app
        self.max_cached_per_bucket = bucket_limit(app.max_cached_channels)
        self.largest_frame = largest_frame(app)

    def terminate(self, user_id: str, except_node: NodeEnd | None = None) -> None:
        """Have a user's connections closed on the nodes that have any of the app, but one."""
        for node, connections in list(self.connections.items()):
            if connections and node is not except_node:
                node.terminate(self.app.id, user_id)

"""An app on this host: its connections by node, and its channels."""

from __future__ import annotations

from soundpost.backplane.addresses import Addresses
from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.parted_dict import PartedDict
from soundpost.backplane.redis.buckets import bucket_limit
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.received import largest_frame
from soundpost.backplane.redis.webhook_prelude import logged_names
from soundpost.core.app_settings import AppSettings
from soundpost.core.history_rules import HistoryRules
from soundpost.core.peers import PeersHandler


class AppEntry:
    """The connections and channels that this host has of one app."""

    def __init__(self, app: AppSettings) -> None:
        self.configure(app)
        self.channels = PartedDict[str, SharedChannel]()
        """Channels that have subscribers here, by name."""
        self.connections: dict[PeersHandler, int] = {}
        """Number of connections by node."""
        self.addresses = Addresses()
        self.occupancy = Occupancy()

    def configure(self, app: AppSettings) -> None:
        """Take the app's settings."""
        self.app = app
        self.history_rules = HistoryRules(app.history)
        self.max_cached_per_bucket = bucket_limit(app.max_cached_channels)
        self.largest_frame = largest_frame(app)
        self.logged = logged_names(app)

    def terminate(self, user_id: str, except_node: PeersHandler | None = None) -> None:
        """Close all connections of a user on this host's nodes, except one node."""
        for node, connections in list(self.connections.items()):
            if connections and node is not except_node:
                node.terminate(self.app.id, user_id)

"""Apps and channels of the memory registry: which node has how many subscriptions and members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from soundpost.backplane.addresses import Addresses
from soundpost.backplane.event_cache import EventCache
from soundpost.backplane.lingering_members import LingeringMembers
from soundpost.backplane.members import Members
from soundpost.backplane.occupancy import Occupancy
from soundpost.core.app_settings import AppSettings
from soundpost.core.history_rules import HistoryRules
from soundpost.core.peers import PeersHandler
from soundpost.wire.channel_names import kind_of


class ChannelEntry:
    """One channel on all nodes."""

    __slots__ = ("count", "members", "name", "shares")

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        """Number of subscriptions."""
        self.shares: tuple[Share, ...] = ()
        # A tuple, as nodes are few: a list would take 24 bytes more of each channel, a dictionary 170.
        self.members = Members() if kind_of(name).is_presence else None

    def is_full_for(self, user_id: str, max_members: int) -> bool:
        """Return whether the channel has no room for a user."""
        return self.members is not None and user_id not in self.members and len(self.members) >= max_members

    def share_of(self, node: PeersHandler) -> Share | None:
        """Return the share of a node; None if it has no subscriptions."""
        for share in self.shares:
            if share.node is node:
                return share
        return None

    def drop(self, share: Share) -> None:
        """Remove the share of a node that has no subscriptions any more."""
        self.shares = tuple([each for each in self.shares if each is not share])


_NO_USERS: Final[dict[str, int]] = {}
"""Users of a share of a channel without members: one dict for all of them, to save memory."""


class Share:
    """One node's subscriptions to a channel; on a presence channel also the subscriptions of each user."""

    __slots__ = ("count", "node", "users")

    def __init__(self, node: PeersHandler, *, has_users: bool) -> None:
        self.node = node
        self.count = 0
        """Number of subscriptions."""
        self.users: dict[str, int] = {} if has_users else _NO_USERS
        """Number of subscriptions by user id."""


class AppEntry:
    """One app on all nodes."""

    def __init__(self, app: AppSettings, clock: Callable[[], float]) -> None:
        self.app = app
        self.history_rules = HistoryRules(app.history)
        self.reports = app.reports
        """Names of the events that any endpoint of the app wants."""
        self.connections: dict[PeersHandler, int] = {}
        """Number of connections by node."""
        self.addresses = Addresses()
        self.channels: dict[str, ChannelEntry] = {}
        """Occupied channels by name."""
        self.cache = EventCache(clock)
        self.lingering = LingeringMembers(clock)
        self.occupancy = Occupancy()
        self.counts_due: set[ChannelEntry] = set()
        """Large channels whose subscription count changed since the last announcement."""

    def configure(self, app: AppSettings) -> None:
        """Take other settings."""
        self.app = app
        self.history_rules = HistoryRules(app.history)
        self.reports = app.reports

    def channel(self, name: str) -> ChannelEntry:
        """Return a channel; a new one if it has neither subscribers nor members who linger."""
        return self.known_channel(name) or ChannelEntry(name)

    def known_channel(self, name: str) -> ChannelEntry | None:
        """Return a channel that is occupied, or has members whose grace is not over; else None."""
        return self.channels.get(name) or self.lingering.channels.get(name)

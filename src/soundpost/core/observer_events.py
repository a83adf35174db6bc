"""Events about channels and members of all nodes, as observers get them: exactly one node reports each of them."""

from __future__ import annotations

from msgspec import Struct


class ChannelEvent(Struct, frozen=True, tag=True):
    """An event about one channel of one app."""

    app_id: str
    channel: str


class ChannelOccupied(ChannelEvent, frozen=True):
    """A channel got its first subscriber on any node."""


class ChannelVacated(ChannelEvent, frozen=True):
    """A channel lost its last subscriber on all nodes."""


class MemberAdded(ChannelEvent, frozen=True):
    """A user's first connection joined a presence channel."""

    user_id: str


class MemberRemoved(ChannelEvent, frozen=True):
    """A user's last connection left a presence channel."""

    user_id: str


class SubscriptionCountChanged(ChannelEvent, frozen=True):
    """The number of a channel's subscribers was announced."""

    count: int


ObserverEvent = ChannelOccupied | ChannelVacated | MemberAdded | MemberRemoved | SubscriptionCountChanged

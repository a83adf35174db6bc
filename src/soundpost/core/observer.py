"""What can be watched on a node: the room for webhooks, metrics and ``--debug``.

Nothing is called per delivery: an event to 10,000 subscribers is one ``event_queued``. With no observer the cost
of each hook is one step over an empty tuple.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from soundpost.core.observer_events import (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    ObserverEvent,
    SubscriptionCountChanged,
)

if TYPE_CHECKING:
    from soundpost.core.channel import Channel
    from soundpost.core.connection import Connection


class Observer:
    """Override what you need. Called in the event loop: must not block and must not raise."""

    def connection_opened(self, connection: Connection) -> None:
        """A client got its hello."""

    def connection_closed(self, connection: Connection) -> None:
        """A client is gone and has left all its channels."""

    def channel_occupied(self, app_id: str, channel: str) -> None:
        """A channel has its first subscriber on any node. This, and the next four, are told to one node."""

    def channel_vacated(self, app_id: str, channel: str) -> None:
        """A channel has lost its last subscriber on all nodes."""

    def member_added(self, app_id: str, channel: str, user_id: str) -> None:
        """A user's first connection joined a presence channel."""

    def member_removed(self, app_id: str, channel: str, user_id: str) -> None:
        """A user's last connection left a presence channel."""

    def subscription_count(self, app_id: str, channel: str, count: int) -> None:
        """The number of a channel's subscribers was announced."""

    def client_event(self, connection: Connection, channel: Channel, event: str, data: bytes) -> None:
        """A client event was accepted; ``data`` is JSON."""

    def cache_miss(self, channel: Channel) -> None:
        """A subscriber of a cache channel found it empty."""

    def message_received(self, connection: Connection, payload: bytes) -> None:
        """A text message came in, not yet looked at."""

    def message_sent(self, connection: Connection, frame: bytes) -> None:
        """A frame went to one connection alone."""

    def event_queued(self, channel: Channel, frame: bytes) -> None:
        """A frame will go to all subscribers of a channel at the end of this loop turn."""

    def output_overflowed(self, connection: Connection) -> None:
        """A slow client was closed with 4100 because too much waited for it."""


def notify(observer: Observer, event: ObserverEvent) -> None:
    """Call the observer's method for an event about a channel or member."""
    match event:
        case ChannelOccupied():
            observer.channel_occupied(event.app_id, event.channel)
        case ChannelVacated():
            observer.channel_vacated(event.app_id, event.channel)
        case MemberAdded():
            observer.member_added(event.app_id, event.channel, event.user_id)
        case MemberRemoved():
            observer.member_removed(event.app_id, event.channel, event.user_id)
        case SubscriptionCountChanged():
            observer.subscription_count(event.app_id, event.channel, event.count)
        case _:
            assert_never(event)

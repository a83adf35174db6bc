"""Observers of a node, for webhooks, metrics and ``--debug``.

No method is called per delivery: an event to 10,000 subscribers is one ``event_queued``. Without observers each call
costs one step over an empty tuple.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from soundpost.compilation import mypyc_attr
from soundpost.core.observer_events import (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    ObserverEvent,
    SubscriptionCountChanged,
)

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.core.channel import Channel
    from soundpost.core.connection import Connection
    from soundpost.core.inspection import RefusalLine
    from soundpost.core.peers import OutgoingEvent


@mypyc_attr(allow_interpreted_subclasses=True)
class Observer:
    """Base class of observers; each method does nothing.

    The methods are called in the event loop: they must not block or raise.
    """

    def connection_opened(self, connection: Connection) -> None:
        """Take note that a client got its hello."""

    def connection_closed(self, connection: Connection) -> None:
        """Take note that a client is gone and has left all its channels."""

    def channel_occupied(self, app_id: str, channel: str) -> None:
        """Take note that a channel got its first subscriber on any node. One node of all is called."""

    def channel_vacated(self, app_id: str, channel: str) -> None:
        """Take note that a channel lost its last subscriber on all nodes. One node of all is called."""

    def member_added(self, app_id: str, channel: str, user_id: str) -> None:
        """Take note that a user's first connection joined a presence channel. One node of all is called."""

    def member_removed(self, app_id: str, channel: str, user_id: str) -> None:
        """Take note that a user's last connection left a presence channel. One node of all is called."""

    def subscription_count(self, app_id: str, channel: str, count: int) -> None:
        """Take note that the number of a channel's subscribers was announced. One node of all is called."""

    def client_event(self, connection: Connection, channel: Channel, event: str, data: bytes) -> None:
        """Take note that a client event was accepted; ``data`` is JSON."""

    def cache_miss(self, channel: Channel) -> None:
        """Take note that a cache channel had no event for a new subscriber."""

    def message_received(self, connection: Connection, payload: bytes) -> None:
        """Take note of a text message from a client, before it is decoded."""

    def message_sent(self, connection: Connection, frame: bytes) -> None:
        """Take note that a frame is sent to one connection alone."""

    def event_published(self, app: App, event: OutgoingEvent) -> None:
        """Take note that an application's event was published on this node, even if nobody is subscribed."""

    def event_queued(self, channel: Channel, frame: bytes, recipients: int) -> None:
        """Take note that a frame goes to subscribers of a channel, on this node, at the end of this loop turn."""

    def subscription_resumed(self, connection: Connection, channel: Channel, following: int) -> None:
        """Take note that a client resumes in a channel's history, and gets ``following`` events that it had missed."""

    def gap_sent(self, connection: Connection, channel: Channel, reason: str) -> None:
        """Take note that a client was told that it missed events which are not kept any more."""

    def refused(self, refusal: RefusalLine, connection: Connection | None) -> None:
        """Take note of a refusal; ``connection`` is None for a client or request that has none."""

    def output_overflowed(self, connection: Connection) -> None:
        """Take note that a slow client was closed with 4100, because too many bytes waited for the client."""


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

"""Subscriptions that a client asked for and the backplane has not confirmed yet.

The client's further messages wait, except ``pusher:subscribe``, so that answers keep the order of the requests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from soundpost.core import error_replies
from soundpost.errors import SubscriptionError
from soundpost.wire import codes

if TYPE_CHECKING:
    from soundpost.core.channel import Channel
    from soundpost.core.connection import Connection
    from soundpost.core.history import HistoryRequest
    from soundpost.core.member import Member
    from soundpost.core.peers import ChannelSnapshot
    from soundpost.wire.messages import Subscribe

Confirm = Callable[["Subscribe", "Connection", "Channel", "ChannelSnapshot"], None]
"""Function that confirms a subscription to the client."""

MAX_WAITING: Final = 1_000
"""Largest number of waiting messages of one client."""
AT_ONCE: Final = 8
"""Largest number of waiting messages of one client that are handled in one loop turn."""


class PendingSubscription:
    """One subscription, from the client's request to the backplane's answer."""

    __slots__ = ("_confirm", "_request", "abandoned", "channel", "connection", "is_answered", "linger", "user_id")

    def __init__(
        self,
        connection: Connection,
        channel: Channel,
        user_id: str | None,
        confirm: Confirm,
        request: Subscribe,
    ) -> None:
        """Note a subscription. ``confirm`` gets ``request``, connection, channel and the backplane's answer."""
        self.connection = connection
        self.channel = channel
        self.user_id = user_id
        self._confirm = confirm
        self._request = request
        self.is_answered = False
        """True once the backplane has answered."""
        self.abandoned = False
        """True once the client is gone."""
        self.linger = 0.0
        """Seconds that the member stays once the client is gone."""

    def join(self, newcomer: Member | None, history: HistoryRequest | None) -> None:
        """Send the subscription to the backplane."""
        app, connection = self.channel.app, self.connection
        socket_id = connection.socket_id if app.reports and newcomer is not None else None
        app.node.peers.join(app.id, self.channel.name, newcomer, self._complete, history, socket_id)
        if not self.is_answered:
            self._begin()

    def _complete(self, snapshot: ChannelSnapshot | None) -> None:
        """Handle the backplane's answer; None means that the channel has no room for the user."""
        self._end()
        connection, channel = self.connection, self.channel
        app = connection.app
        if self.abandoned:
            app.forget_if_empty(channel)
            if snapshot is not None:
                user_id = self.user_id
                socket_id = connection.socket_id if app.reports and user_id is not None else None
                app.node.peers.leave(app.id, channel.name, user_id, self.linger, socket_id)
            return
        if snapshot is None:
            app.forget_if_empty(channel)
            error_replies.send(connection, _channel_full(channel.name, app.settings.max_presence_members))
        else:
            channel.add(connection, self.user_id)
            connection.channels.append(channel)
            self._confirm(self._request, connection, channel, snapshot)
        handle_waiting(connection)

    def _begin(self) -> None:
        """Note that the backplane has not answered at once: the client's further messages wait."""
        # Measured: a third of a subscription's cost, and a node that is alone never has to pay it.
        connection, channel = self.connection, self.channel
        if channel.pending_subscribers is None:
            channel.pending_subscribers = {}
        channel.pending_subscribers[connection] = self
        if self.user_id is not None:
            channel.app.add_membership(connection, self.user_id)
        if connection.pending_subscriptions is None:
            connection.pending_subscriptions = PendingSubscriptions()
        connection.pending_subscriptions.by_channel[channel.name] = self

    def _end(self) -> None:
        """Note that the backplane has answered."""
        self.is_answered = True
        subscribers = self.channel.pending_subscribers
        if subscribers is None or subscribers.pop(self.connection, None) is None:
            return  # answered at once
        if self.user_id is not None:
            self.channel.app.remove_membership(self.connection, self.user_id)
        if not subscribers:
            self.channel.pending_subscribers = None
        subscriptions = self.connection.pending_subscriptions
        if subscriptions is not None:
            del subscriptions.by_channel[self.channel.name]


def _channel_full(name: str, limit: int) -> SubscriptionError:
    return SubscriptionError(
        name,
        codes.OVER_QUOTA,
        f"{name} has its {limit} members (max_presence_members)",
        type="LimitReached",
        status=403,
    )


class PendingSubscriptions:
    """All pending subscriptions of one client, and its messages that wait for them."""

    __slots__ = ("by_channel", "waiting")

    def __init__(self) -> None:
        self.by_channel: dict[str, PendingSubscription] = {}
        """Pending subscriptions by channel name."""
        self.waiting: list[Callable[[], None]] = []

    def wait(self, connection: Connection, action: Callable[[], None]) -> None:
        """Run an action once no subscription is pending; close with 4100 if too many actions wait."""
        if len(self.waiting) < MAX_WAITING:
            self.waiting.append(action)
        else:
            connection.end(codes.OVER_CAPACITY, "Too fast: your subscriptions are not settled yet")


def _take_waiting(connection: Connection) -> PendingSubscriptions | None:
    """Take the waiting actions from a connection; None while a subscription is pending, or if there are none.

    This is a separate function because compiled code expects an attribute that was set to None to stay None.
    """
    pending = connection.pending_subscriptions
    if pending is None or pending.by_channel:
        return None
    connection.pending_subscriptions = None
    return pending


def handle_waiting(connection: Connection) -> None:
    """Run the actions that waited, unless a subscription is still pending; a few in each loop turn."""
    pending = _take_waiting(connection)
    if pending is None:
        return
    for number, action in enumerate(pending.waiting):
        if not connection.is_open:  # one of the actions closed the connection
            return
        if number == AT_ONCE and connection.pending_subscriptions is None:
            # Other clients have their turn; messages that arrive meanwhile wait behind the rest.
            connection.pending_subscriptions = PendingSubscriptions()
            connection.app.node.call_soon(partial(handle_waiting, connection))
        if connection.pending_subscriptions is not None:  # an action has subscribed: the other actions wait
            connection.pending_subscriptions.waiting.extend(pending.waiting[number:])
            return
        error_replies.attempt(connection, action)

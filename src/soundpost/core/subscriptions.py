"""Subscribing to channels and leaving them: names, signatures, limits, presence, cached events."""

from __future__ import annotations

from typing import Final

import msgspec

from soundpost.core.channel import Channel
from soundpost.core.connection import Connection
from soundpost.core.presence import Member
from soundpost.errors import SubscriptionError
from soundpost.wire import channel_names, codes, messages, signatures
from soundpost.wire.channel_names import SERVER_TO_USER, Kind
from soundpost.wire.messages import ChannelData, Subscribe

COUNT_AT_ONCE: Final = 100
"""Up to this many subscribers a changed count is announced at once, above it every few seconds, as Pusher does."""


def subscribe(connection: Connection, request: Subscribe) -> None:
    """Subscribe a connection to a channel. Raises SubscriptionError."""
    state = connection.app
    name = request.channel
    fault = channel_names.fault(name, state.app.max_channel_name_length)
    if fault is not None:
        raise SubscriptionError(name, codes.INVALID_MESSAGE, fault, type="InvalidChannel", status=400)
    kind = channel_names.kind_of(name)
    if kind.needs_auth:
        _verify(connection, request)
    elif kind is Kind.USER and (connection.user is None or name != SERVER_TO_USER + connection.user.id):
        raise SubscriptionError(
            name, codes.UNAUTHORIZED, f"Connection is unauthorized: sign in as the user of {name} before subscribing"
        )
    newcomer = _member(connection, request) if kind.is_presence else None
    channel = state.channels.get(name)
    if channel is not None and connection in channel.subscribers:
        member = channel.subscribers[connection]
        if newcomer is None or (member is not None and member.id == newcomer.id):
            _confirm(connection, channel)
            return
        leave(connection, channel)  # it comes back as another user
    _check_limits(connection, name, newcomer)
    channel = state.occupy(name, kind)
    member = None
    if newcomer is not None and channel.members is not None:
        member, first = channel.members.enter(newcomer)
        if first:
            if channel.subscribers:
                channel.queue(messages.member_added(name, member.id_json, member.info_json))
            for observer in state.node.observers:
                observer.member_added(channel, member.id)
    channel.add(connection, member)
    connection.channels.append(channel)
    _confirm(connection, channel)
    _count_changed(channel)


def unsubscribe(connection: Connection, name: str) -> None:
    """Leave a channel; nothing happens if the connection is not subscribed to it."""
    channel = connection.app.channels.get(name)
    if channel is not None and connection in channel.subscribers:
        leave(connection, channel)


def leave(connection: Connection, channel: Channel) -> None:
    """Take a subscriber out of a channel."""
    connection.channels.remove(channel)
    _leave(connection, channel)


def leave_all(connection: Connection) -> None:
    """Take a connection out of all its channels."""
    left, connection.channels = connection.channels, []
    for channel in left:
        _leave(connection, channel)


def announce_count(channel: Channel) -> None:
    """Tell all subscribers how many they are."""
    count = len(channel.subscribers)
    channel.queue(messages.subscription_count(channel.name, count))
    for observer in channel.app.node.observers:
        observer.subscription_count(channel, count)


def _leave(connection: Connection, channel: Channel) -> None:
    member = channel.remove(connection)
    if member is not None and channel.members is not None and channel.members.leave(member):
        if channel.subscribers:
            channel.queue(messages.member_removed(channel.name, member.id_json))
        for observer in channel.app.node.observers:
            observer.member_removed(channel, member.id)
    if channel.subscribers:
        _count_changed(channel)
    else:
        channel.app.vacate(channel)


def _confirm(connection: Connection, channel: Channel) -> None:
    """Tell a subscriber that it is one, and give it what the channel has ready."""
    if channel.members is None:
        connection.send(messages.subscription_succeeded(channel.name))
    else:
        connection.send(messages.subscription_succeeded(channel.name, channel.members.as_json_string()))
    if not channel.kind.is_cache:
        return
    event = channel.app.cache.get(channel.name)
    if event is not None:
        connection.send(event.frame)
        return
    connection.send(messages.cache_miss(channel.name))
    for observer in channel.app.node.observers:
        observer.cache_miss(channel)


def _verify(connection: Connection, request: Subscribe) -> None:
    app, name = connection.app.app, request.channel
    if not request.auth:
        raise SubscriptionError(
            name, codes.UNAUTHORIZED, f"Connection is unauthorized: auth is required to subscribe to {name}"
        )
    key, _, signature = request.auth.partition(":")
    if key != app.key:
        raise SubscriptionError(
            name, codes.UNAUTHORIZED, f"Connection is unauthorized: auth is signed with key '{key}' of another app"
        )
    text = signatures.channel_text(connection.socket_id, name, request.channel_data or None)
    if not signatures.verify(app.secret, text, signature):
        raise SubscriptionError(
            name,
            codes.UNAUTHORIZED,
            f"Connection is unauthorized: expected the HMAC SHA256 hex digest of {text}, made with the app's secret, "
            f"but got {signature}",
        )


def _member(connection: Connection, request: Subscribe) -> Member:
    """The member a presence subscription is for: from its channel_data, or from who signed in."""
    app, name = connection.app.app, request.channel
    if request.channel_data:
        try:
            who: ChannelData = messages.decode_channel_data(request.channel_data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise SubscriptionError(
                name, codes.INVALID_MESSAGE, f"Invalid message format: channel_data: {error}", status=400
            ) from None
        user_id, info = who.user_id, bytes(who.user_info)
    elif connection.user is not None:
        user_id, info = connection.user.id, bytes(connection.user.user_info)
    else:
        raise SubscriptionError(
            name, codes.UNAUTHORIZED, f'Connection is unauthorized: {name} needs channel_data with a "user_id"'
        )
    if not 1 <= len(str(user_id)) <= app.max_user_id_length:
        raise SubscriptionError(
            name, codes.INVALID_MESSAGE, f"user_id must have 1 to {app.max_user_id_length} characters", status=400
        )
    if len(info) > app.max_user_info_size:
        raise SubscriptionError(
            name,
            codes.INVALID_MESSAGE,
            f"user_info of {len(info)} bytes: at most {app.max_user_info_size} are allowed",
            type="LimitReached",
            status=403,
        )
    return Member(user_id, info)


def _check_limits(connection: Connection, name: str, newcomer: Member | None) -> None:
    app = connection.app.app
    if len(connection.channels) >= app.max_subscriptions:
        raise SubscriptionError(
            name,
            codes.OVER_QUOTA,
            f"a connection may subscribe to at most {app.max_subscriptions} channels (max_subscriptions)",
            type="LimitReached",
            status=403,
        )
    if newcomer is None:
        return
    channel = connection.app.channels.get(name)
    if channel is None or channel.members is None or newcomer.id in channel.members:
        return
    if len(channel.members) >= app.max_presence_members:
        raise SubscriptionError(
            name,
            codes.OVER_QUOTA,
            f"{name} has its {app.max_presence_members} members (max_presence_members)",
            type="LimitReached",
            status=403,
        )


def _count_changed(channel: Channel) -> None:
    if not channel.app.app.subscription_count or channel.members is not None:
        return
    if len(channel.subscribers) > COUNT_AT_ONCE:
        channel.app.counts_due.add(channel)
    else:
        announce_count(channel)

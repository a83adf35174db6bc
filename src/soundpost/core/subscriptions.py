"""Subscriptions to channels: names, signatures, limits, presence, cached events."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from soundpost.core import former_ids, presence_grace, refusals, replay_allowances, reports, resumption
from soundpost.core.channel import Channel
from soundpost.core.connection import Connection
from soundpost.core.history import HistoryRequest
from soundpost.core.member import Member, id_fault
from soundpost.core.peers import ChannelSnapshot
from soundpost.core.pending_subscriptions import PendingSubscription
from soundpost.core.token_bucket import TokenBucket
from soundpost.errors import JsonError, SubscriptionError
from soundpost.wire import channel_names, codes, messages, signatures
from soundpost.wire.channel_names import SERVER_TO_USER, Kind
from soundpost.wire.messages import Subscribe
from soundpost.wire.positions import LOST_POSITION, PositionError, parse_position
from soundpost.wire.printable import printable
from soundpost.wire.resumption_fields import check_former_ids

_MINUTE: Final = 60
_PUBLIC: Final = Kind.PUBLIC
_USER: Final = Kind.USER


def subscribe(connection: Connection, request: Subscribe) -> None:
    """Subscribe a connection to a channel as soon as the backplane confirms. Raise SubscriptionError for a refusal."""
    name = request.channel
    pending = connection.pending_subscriptions
    if pending is not None and name in pending.by_channel:
        pending.wait(connection, partial(subscribe, connection, request))
        return
    app = connection.app
    channel = app.channels.get(name)
    if channel is not None and len(name) <= app.max_channel_name_length:
        kind = channel.kind
    else:
        fault = channel_names.fault(name, app.max_channel_name_length)
        if fault is not None:
            raise SubscriptionError(name, codes.INVALID_MESSAGE, fault, type="InvalidChannel", status=400)
        kind = channel_names.kind_of(name)
    newcomer = None if kind is _PUBLIC else _authorized(connection, request, kind)
    user_id = None if newcomer is None else newcomer.id
    if channel is not None and connection in channel.subscribers:
        if channel.subscribers[connection] == user_id:
            _confirm_again(connection, channel, request)
            return
        leave(connection, channel)  # the connection subscribes again, as another user
        _note_repetition(connection)
    if connection.subscription_bucket is not None:
        _check_repetitions(connection, name)
    _check_limit(connection, name)
    history = None if request.resume is None else _history_request(connection, request)
    PendingSubscription(connection, app.channel(name, kind), user_id, _confirm, request).join(newcomer, history)


def _authorized(connection: Connection, request: Subscribe, kind: Kind) -> Member | None:
    """Check a subscription's signature; return the member on a presence channel, else None. Raise SubscriptionError."""
    name, user = request.channel, connection.user
    if kind.needs_auth:
        _verify(connection, request)
        connection.app.unauthorized.pop(connection, None)
    elif kind is _USER and (user is None or name != SERVER_TO_USER + user.id):
        raise SubscriptionError(
            name, codes.UNAUTHORIZED, f"Connection is unauthorized: sign in as the user of {name} before subscribing"
        )
    return _member(connection, request) if kind.is_presence else None


def subscribe_user(connection: Connection, user_id: str, confirm: Callable[[], None]) -> None:
    """Subscribe a signed-in connection to its user's channel, and call back once events reach the connection.

    The client's own subscription, which pusher-js makes after ``pusher:signin_success``, comes too late for an event
    that is sent at once. It is confirmed as a repeated one, so each event comes once.
    """
    app = connection.app
    name = SERVER_TO_USER + user_id
    channel = app.channels.get(name)
    if channel_names.fault(name, app.settings.max_channel_name_length) is not None:
        confirm()  # no channel can have this name, so no event can be sent to the user
    elif channel is not None and connection in channel.subscribers:
        confirm()
    else:
        subscription = PendingSubscription(
            connection, app.channel(name, _USER), None, lambda *_: confirm(), Subscribe(name)
        )
        subscription.join(None, None)


def unsubscribe(connection: Connection, name: str) -> None:
    """Leave a channel, if the connection is subscribed to it."""
    channel = connection.app.channels.get(name)
    if channel is not None and connection in channel.subscribers:
        leave(connection, channel)
        _note_repetition(connection)


def leave(connection: Connection, channel: Channel) -> None:
    """Remove a subscriber from a channel."""
    connection.channels.remove(channel)
    _leave(connection, channel)


def leave_some(connection: Connection, number: int) -> None:
    """Remove a closed connection from its first channels, before :meth:`soundpost.core.node.Node.closed` is called."""
    left, connection.channels = connection.channels[:number], connection.channels[number:]
    linger = presence_grace.grace_of(connection)
    for channel in left:
        _leave(connection, channel, linger)


def leave_all(connection: Connection, linger: float) -> None:
    """Remove a closed connection from all its channels. Its members stay for ``linger`` seconds."""
    left, connection.channels = connection.channels, []
    for channel in left:
        _leave(connection, channel, linger)
    pending = connection.pending_subscriptions
    if pending is not None:
        pending.waiting.clear()
        for subscription in pending.by_channel.values():
            subscription.abandoned = True
            subscription.linger = linger


def _leave(connection: Connection, channel: Channel, linger: float = 0) -> None:
    user_id = channel.remove(connection)
    app = channel.app
    app.forget_if_empty(channel)
    socket_id = connection.socket_id if app.reports and user_id is not None else None
    app.node.peers.leave(app.id, channel.name, user_id, linger, socket_id)


def _confirm_again(connection: Connection, channel: Channel, request: Subscribe) -> None:
    """Confirm a subscription that the connection already has, with the channel's current state."""
    _note_repetition(connection)
    _check_repetitions(connection, channel.name)
    history = _history_request(connection, request)

    def confirm(snapshot: ChannelSnapshot) -> None:
        if connection in channel.subscribers:
            channel.send_gathered()
            # The snapshot contains the waiting frames: a client that got them afterwards would take them for new ones.
            channel.flush()
            channel.app.node.outbox.send_to(channel, connection)
            if channel.replays is not None and snapshot.history is not None:
                channel.replays.end(connection)  # the client has named a new position
            _confirm(request, connection, channel, snapshot)

    channel.app.node.peers.snapshot(channel.app.settings.id, channel.name, confirm, history)


def _confirm(request: Subscribe, connection: Connection, channel: Channel, snapshot: ChannelSnapshot) -> None:
    """Send ``subscription_succeeded``, then what the client missed, or a cache channel's last event."""
    presence, cached, history = snapshot
    figures, resume = channel.app.figures, request.resume
    data = b'"{}"' if presence is None else presence
    if history is None or resume is None:
        if resume and _asked_in_vain(request):
            figures.gaps += 1
            connection.send(messages.subscription_succeeded(channel.name, data, b',"gap":"unknown"'))
        else:
            connection.send(
                channel.confirmation if presence is None else messages.subscription_succeeded(channel.name, data)
            )
        if cached is not None or (channel.kind is not _PUBLIC and channel.kind.is_cache):
            _send_cached(connection, channel, snapshot)
        return
    if channel.resumable is None:
        channel.resumable = set()
    channel.resumable.add(connection)
    if request.was:
        former_ids.note(connection, request.was)
    resumed = history.following if resume and history.gap is None else None
    more = messages.resumption(history.position, resumed, history.gap)
    connection.send(messages.subscription_succeeded(channel.name, data, more))
    if history.gap is not None:
        figures.gaps += 1
    elif resumed is not None:
        figures.resumptions += 1
    for observer in channel.app.node.observers:
        if history.gap is not None:
            observer.gap_sent(connection, channel, history.gap)
        elif resumed is not None:
            observer.subscription_resumed(connection, channel, resumed)
    if history.following:
        resumption.begin(connection, channel, history.position)
    elif resumed is None:
        _send_cached(connection, channel, snapshot)


def _send_cached(connection: Connection, channel: Channel, snapshot: ChannelSnapshot) -> None:
    """Send a cache channel's last event, or ``cache_miss``."""
    if snapshot.cached is not None:
        figures = channel.app.figures
        figures.deliveries += 1
        figures.delivered_bytes += len(snapshot.cached)
        connection.send(snapshot.cached)
    elif channel.kind.is_cache:
        connection.send(messages.cache_miss(channel.name))
        if channel.app.reports:
            reports.cache_miss(channel)
        for observer in channel.app.node.observers:
            observer.cache_miss(channel)


def _asked_in_vain(request: Subscribe) -> bool:
    """Return True if a client names a position, but the channel keeps no history any more."""
    return request.resume not in (None, "", LOST_POSITION)


def _history_request(connection: Connection, request: Subscribe) -> HistoryRequest | None:
    """Return a client's request for history; None if the client cannot resume, or the channel keeps no history.

    Raises SubscriptionError for a text that is not a position or a socket id, and for a rewind that is not allowed.
    """
    after, name = request.resume, request.channel
    if after is None:
        return None
    check_former_ids(name, request.was)
    if after not in ("", LOST_POSITION):
        try:
            parse_position(after)
        except PositionError as error:
            raise SubscriptionError(
                name, codes.INVALID_MESSAGE, f"resume: {error}", type="InvalidPosition", status=400
            ) from None
    rule = connection.app.history_rules.of(name)
    if rule is None:
        return None
    if request.rewind > rule.rewind:
        raise SubscriptionError(
            name,
            codes.INVALID_MESSAGE,
            f"rewind: {request.rewind} events asked for, at most {rule.rewind} are allowed (rewind of "
            "[[apps.history]] in soundpost.toml)",
            type="LimitReached",
            status=400,
        )
    if (after or request.rewind) and not replay_allowances.may_replay(connection):
        return HistoryRequest(after, limited=True)
    return HistoryRequest(after, request.rewind)


def _verify(connection: Connection, request: Subscribe) -> None:
    app, name = connection.app.settings, request.channel
    if not request.auth:
        raise SubscriptionError(
            name,
            codes.UNAUTHORIZED,
            f"Connection is unauthorized: auth is required to subscribe to {name}",
            for_operators=refusals.NO_AUTH,
        )
    key, _, signature = request.auth.partition(":")
    if key != app.key:
        raise SubscriptionError(
            name,
            codes.UNAUTHORIZED,
            f"Connection is unauthorized: auth is signed with key '{printable(key[:100])}' of another app",
            for_operators=refusals.OTHER_KEY,
        )
    text = signatures.channel_text(connection.socket_id, name, request.channel_data or None)
    if not signatures.verify(app.secret, text, signature):
        raise SubscriptionError(
            name,
            codes.UNAUTHORIZED,
            f"Connection is unauthorized: expected the HMAC SHA256 hex digest of {text}, made with the app's secret, "
            f"but got {signature}",
            for_operators=refusals.WRONG_SIGNATURE,
        )


def _member(connection: Connection, request: Subscribe) -> Member:
    """Return the member of a presence subscription, from its channel_data or the signed-in user."""
    app, name = connection.app.settings, request.channel
    if request.channel_data:
        try:
            who = messages.read_channel_data(request.channel_data)
        except JsonError as error:
            raise SubscriptionError(
                name, codes.INVALID_MESSAGE, f"Invalid message format: channel_data: {error}", status=400
            ) from None
        user_id, info = who.user_id, bytes(who.user_info)
    elif connection.user is not None:
        user_id, info = connection.user
    else:
        raise SubscriptionError(
            name, codes.UNAUTHORIZED, f'Connection is unauthorized: {name} needs channel_data with a "user_id"'
        )
    fault = id_fault(str(user_id), app.max_user_id_length)
    if fault is not None:
        raise SubscriptionError(name, codes.INVALID_MESSAGE, f"user_id {fault}", status=400)
    if len(info) > app.max_user_info_size:
        raise SubscriptionError(
            name,
            codes.INVALID_MESSAGE,
            f"user_info of {len(info)} bytes: at most {app.max_user_info_size} are allowed",
            type="LimitReached",
            status=403,
        )
    return Member(user_id, info)


def _check_limit(connection: Connection, name: str) -> None:
    limit = connection.app.max_subscriptions
    pending = connection.pending_subscriptions
    if len(connection.channels) + (0 if pending is None else len(pending.by_channel)) >= limit:
        raise SubscriptionError(
            name,
            codes.OVER_QUOTA,
            f"a connection may subscribe to at most {limit} channels (max_subscriptions)",
            type="LimitReached",
            status=403,
        )


def _note_repetition(connection: Connection) -> None:
    """Limit the rate of a client's subscriptions from now on, because answers can be far larger than requests."""
    if connection.subscription_bucket is None:
        app = connection.app
        connection.subscription_bucket = TokenBucket(app.max_subscriptions, app.node.clock())


def _check_repetitions(connection: Connection, name: str) -> None:
    bucket = connection.subscription_bucket
    if bucket is None:  # the client has never left a channel: max_subscriptions bounds the answers
        return
    limit = connection.app.max_subscriptions
    if not bucket.take(limit, _MINUTE, connection.app.node.clock()):
        raise SubscriptionError(
            name,
            codes.CLIENT_EVENT_REJECTED,
            f"more than {limit} subscriptions a minute (max_subscriptions), made again or after leaving a channel",
            type="LimitReached",
            status=429,
        )

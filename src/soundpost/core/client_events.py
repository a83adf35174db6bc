"""Client events ("whispers"), sent by one subscriber of a private or presence channel to the others.

Source: https://pusher.com/docs/channels/using_channels/events/#triggering-client-events
"""

from __future__ import annotations

from soundpost.core import reports
from soundpost.core.connection import Connection
from soundpost.core.peers import OutgoingEvent
from soundpost.core.refusals import note_refused_message
from soundpost.core.token_bucket import TokenBucket
from soundpost.errors import ProtocolError
from soundpost.wire import codes, messages
from soundpost.wire.messages import ClientMessage


def relay(connection: Connection, message: ClientMessage) -> None:
    """Deliver a client event to the channel's other subscribers, data unchanged. Raise ProtocolError."""
    try:
        _relay(connection, message)
    except ProtocolError as error:
        note_refused_message(connection, "client-event", error.message, error.code, message.channel or "")
        raise


def _relay(connection: Connection, message: ClientMessage) -> None:
    app = connection.app
    settings = app.settings
    if settings.accept_client_events_from == "none":
        raise ProtocolError(
            codes.CLIENT_EVENT_REJECTED,
            "The app does not have client messaging enabled. (accept_client_events_from is 'none')",
        )
    if message.channel is None:
        raise ProtocolError(codes.INVALID_MESSAGE, f"Invalid message format: {message.event} names no channel")
    if len(message.event) > settings.max_event_name_length:
        raise ProtocolError(
            codes.CLIENT_EVENT_REJECTED,
            f"Client event rejected - its name has {len(message.event)} characters, "
            f"at most {settings.max_event_name_length} are allowed",
        )
    data = bytes(message.data)
    if len(data) > settings.max_event_data_size:
        raise ProtocolError(
            codes.CLIENT_EVENT_REJECTED,
            f"Client event rejected - data of {message.event} has {len(data)} bytes, "
            f"at most {settings.max_event_data_size} are allowed",
        )
    channel = app.channels.get(message.channel)
    if channel is None or connection not in channel.subscribers:
        raise ProtocolError(
            codes.UNAUTHORIZED,
            "The client is not a member of the specified channel. "
            f"(subscribe to {message.channel[:200]} before sending {message.event})",
        )
    if not channel.kind.takes_client_events:
        raise ProtocolError(
            codes.CLIENT_EVENT_REJECTED,
            "Client event rejected - only supported on private and presence channels that are not encrypted",
        )
    _check_rate(connection)
    user_id = channel.subscribers[connection] if channel.kind.is_presence else None
    frame = messages.client_event(message.event, channel.name, data, user_id)
    app.figures.client_events += 1
    if not channel.send_to_other(connection, frame):
        outgoing = OutgoingEvent(channel.name, frame, connection.socket_id, False, None, False, True)  # ephemeral
        app.node.peers.publish(settings.id, outgoing)
    if app.reports:
        reports.client_event(connection, channel, message.event, data)
    for observer in app.node.observers:
        observer.client_event(connection, channel, message.event, data)


def _check_rate(connection: Connection) -> None:
    rate = connection.app.settings.max_client_events_per_second
    now = connection.app.node.clock()
    bucket = connection.client_event_bucket
    if bucket is None:
        bucket = connection.client_event_bucket = TokenBucket(rate, now)
        connection.note_client_events()
    if not bucket.take(rate, 1, now):
        raise ProtocolError(
            codes.CLIENT_EVENT_REJECTED, f"Client event rejected - more than {rate} a second: this one was dropped"
        )

"""Messages over ``max_message_size``: refused with an error reply, while the connection stays open.

Closing would not help: the page would connect again, send the same message, and lose its other channels each time.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from soundpost.core import error_replies, flooding
from soundpost.core.app_settings import AppSettings
from soundpost.core.connection import Connection
from soundpost.errors import ProtocolError, SubscriptionError
from soundpost.log_throttle import MINUTE
from soundpost.wire import codes, messages
from soundpost.wire.messages import Subscribe, decode_data

_FACTOR: Final = 4


def most_read(app: AppSettings) -> int:
    """Return the size in bytes of the largest message that is read. A larger one closes the connection with 1009."""
    return _FACTOR * app.max_message_size


def refuse(connection: Connection, payload: bytes) -> None:
    """Refuse a message that is too large; the connection stays open.

    A subscription gets a ``pusher:subscription_error``, every other message a ``pusher:error``.
    """
    connection.app.figures.other_messages += 1
    if not flooding.takes_rate_limited_junk(connection):
        return
    error = _refusal(connection.app.settings, payload)
    _warn(connection, f"refused a message of {len(payload)} bytes", str(error))
    if connection.pending_subscriptions is None:
        error_replies.send(connection, error)
    else:
        connection.pending_subscriptions.wait(connection, partial(error_replies.send, connection, error))


def close_reason(connection: Connection) -> str:
    """Return the reason to close a connection whose message is too large to read, and log the close."""
    app = connection.app.settings
    reason = f"Message over {most_read(app)} bytes ({_FACTOR} times max_message_size)"
    _warn(connection, "closed the connection with 1009", reason)
    return reason


def _refusal(app: AppSettings, payload: bytes) -> ProtocolError:
    too_large = f"the message has {len(payload)} bytes, at most {app.max_message_size} are allowed (max_message_size)"
    try:
        message = messages.decode_message(payload)
        if message.event == "pusher:subscribe":
            channel = decode_data(message, Subscribe).channel[: app.max_channel_name_length]
            return SubscriptionError(
                channel, codes.UNAUTHORIZED, f"Subscription rejected: {too_large}", type="LimitReached", status=413
            )
    except ProtocolError as error:
        return ProtocolError(error.code, f"Message rejected: {too_large}")
    if message.event == "pusher:signin":
        return ProtocolError(codes.UNAUTHORIZED, f"Sign-in rejected: {too_large}")
    if message.event.startswith("client-"):
        return ProtocolError(codes.CLIENT_EVENT_REJECTED, f"Client event rejected - {too_large}")
    return ProtocolError(codes.GENERIC_RECONNECT, f"Message rejected: {too_large}")


def _warn(connection: Connection, what: str, why: str) -> None:
    app = connection.app.settings
    connection.app.node.log_throttle.warn(
        f"oversized {app.id}",
        "app %s: %s of socket %s from %s: %a. Further ones are not logged for a minute",
        app.id,
        what,
        connection.socket_id,
        connection.address,
        why,
        interval=MINUTE,
    )

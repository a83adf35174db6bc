"""Messages over ``max_message_size``: read past, and answered in the protocol, so that the connection goes on.

Closing would help nobody: the page would connect again, send the same again, and lose its other channels each time.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from soundpost.core import error_replies, flooding
from soundpost.core.app_settings import AppSettings
from soundpost.core.connection import Connection
from soundpost.log_throttle import MINUTE
from soundpost.errors import ProtocolError, SubscriptionError
from soundpost.wire import codes, messages
from soundpost.wire.messages import Subscribe, decode_data

_FACTOR: Final = 4


def most_read(app: AppSettings) -> int:
    """Return how many bytes of one message are read; a larger one closes the connection with 1009."""
    return _FACTOR * app.max_message_size


def refuse(connection: Connection, payload: bytes) -> None:
    """Tell a client that a message of its is too large, and for what; the connection stays.

    A subscription gets its ``pusher:subscription_error``, everything else a ``pusher:error``.
    """
    if not flooding.takes_waste(connection):
        return
    error = _refusal(connection.app.settings, payload)
    _warn(connection, f"refused a message of {len(payload)} bytes", str(error))
    if connection.pending_subscriptions is None:
        error_replies.send(connection, error)
    else:
        connection.pending_subscriptions.wait(connection, partial(error_replies.send, connection, error))


def close_reason(connection: Connection) -> str:
    """Return what a client is told whose message is not even read to its end, and log it."""
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
        silence=MINUTE,
    )

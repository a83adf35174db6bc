"""Error messages to a client about the messages it sent."""

from __future__ import annotations

import logging
from collections.abc import Callable

from soundpost.core import flooding
from soundpost.core.connection import Connection
from soundpost.core.figures import count
from soundpost.core.refusals import note_refused_message
from soundpost.errors import ProtocolError, SubscriptionError
from soundpost.wire import codes, messages

log = logging.getLogger("soundpost.protocol")


def attempt(connection: Connection, action: Callable[[], None]) -> None:
    """Run an action that a client asked for, and reply to the client if the action fails. Never raise."""
    try:
        action()
    except Exception as error:
        reply(connection, error)


def reply(connection: Connection, error: Exception) -> None:
    """Send a client the reason why its message failed; count a malformed message as junk.

    The connection stays open, unless it has sent too much junk. Call it while ``error`` is handled.
    """
    connection.app.figures.other_messages += 1
    if not isinstance(error, ProtocolError):
        log.error(
            "a message of socket %s could not be handled; it stays connected", connection.socket_id, exc_info=error
        )
        connection.send_error(codes.GENERIC_RECONNECT, "The server failed to handle this message")
        return
    _send_subscription_error(connection, error)
    if error.code != codes.INVALID_MESSAGE or flooding.takes_junk(connection):
        connection.send_error(error.code, error.message)


def send(connection: Connection, error: ProtocolError) -> None:
    """Send a client the reason why its message is refused, without counting the message as junk."""
    _send_subscription_error(connection, error)
    connection.send_error(error.code, error.message)


def _send_subscription_error(connection: Connection, error: ProtocolError) -> None:
    if isinstance(error, SubscriptionError):
        if error.code == codes.UNAUTHORIZED and error.type == "AuthError":
            count(connection.app.figures.failed_authorizations, "subscription")
        note_refused_message(connection, "subscription", error.for_operators, error.code, error.channel)
        connection.send(messages.subscription_error(error.channel, error.type, error.message, error.status))

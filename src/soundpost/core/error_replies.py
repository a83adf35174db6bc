"""Telling a client what is wrong with what it sent."""

from __future__ import annotations

import logging
from collections.abc import Callable

from soundpost.core import flooding
from soundpost.core.connection import Connection
from soundpost.errors import ProtocolError, SubscriptionError
from soundpost.wire import codes, messages

log = logging.getLogger("soundpost.protocol")


def attempt(connection: Connection, action: Callable[[], None]) -> None:
    """Do what a client asked for. Never raises."""
    try:
        action()
    except Exception as error:
        tell(connection, error)


def tell(connection: Connection, error: Exception) -> None:
    """Say what was wrong with a message; the connection stays. Call it while ``error`` is handled."""
    if isinstance(error, SubscriptionError):
        connection.send(messages.subscription_error(error.channel, error.type, error.message, error.status))
    if isinstance(error, ProtocolError):
        if error.code == codes.INVALID_MESSAGE and not flooding.takes_junk(connection):
            return
        connection.send(messages.error(error.code, error.message))
        return
    log.error("a message of socket %s could not be handled; it stays connected", connection.socket_id, exc_info=error)
    connection.send(messages.error(codes.GENERIC_RECONNECT, "The server failed to handle this message"))

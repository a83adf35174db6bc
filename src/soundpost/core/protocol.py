"""What a client's message does: the Pusher protocol, message by message."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from soundpost.core import client_events, error_replies, flooding, subscriptions, users
from soundpost.core.connection import Connection
from soundpost.errors import ProtocolError
from soundpost.wire import codes, messages
from soundpost.wire.messages import ClientMessage, SignIn, Subscribe, Unsubscribe, decode_data


def receive(connection: Connection, payload: bytes) -> None:
    """Act on the payload of a text frame. Never raises: what is wrong with a message is told to its sender."""
    try:
        for observer in connection.app.node.observers:
            observer.message_received(connection, payload)
        if connection.app.settings.rate_limiting.enabled and not flooding.within_rate(connection):
            return
        message = messages.decode_message(payload)
        pending = connection.pending_subscriptions
        if pending is None or (message.event == "pusher:subscribe" and not pending.waiting):
            _act(connection, message)
        else:
            pending.wait(connection, partial(_act, connection, message))
    except Exception as error:
        error_replies.reply(connection, error)


def _act(connection: Connection, message: ClientMessage) -> None:
    if message.event.startswith("client-"):
        client_events.relay(connection, message)
        return
    handler = _HANDLERS.get(message.event)
    if handler is None:
        raise ProtocolError(
            codes.INVALID_MESSAGE,
            f"Unknown event '{message.event[:100]}': clients send pusher:subscribe, pusher:unsubscribe, "
            "pusher:signin, pusher:ping, pusher:pong, and events whose names begin with client-",
        )
    handler(connection, message)


def _ping(connection: Connection, message: ClientMessage) -> None:
    connection.send(messages.PONG)


def _pong(connection: Connection, message: ClientMessage) -> None:
    """A sign of life; the transport noted it with the bytes."""


def _subscribe(connection: Connection, message: ClientMessage) -> None:
    subscriptions.subscribe(connection, decode_data(message, Subscribe))


def _unsubscribe(connection: Connection, message: ClientMessage) -> None:
    subscriptions.unsubscribe(connection, decode_data(message, Unsubscribe).channel)


def _sign_in(connection: Connection, message: ClientMessage) -> None:
    users.sign_in(connection, decode_data(message, SignIn))


_HANDLERS: Final[dict[str, Callable[[Connection, ClientMessage], None]]] = {
    "pusher:ping": _ping,
    "pusher:pong": _pong,
    "pusher:subscribe": _subscribe,
    "pusher:unsubscribe": _unsubscribe,
    "pusher:signin": _sign_in,
}

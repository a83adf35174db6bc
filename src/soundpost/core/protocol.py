"""The Pusher protocol on the server side: handling of each message from a client."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from soundpost.core import client_events, error_replies, flooding, subscriptions, users
from soundpost.core.connection import Connection
from soundpost.errors import ProtocolError
from soundpost.wire import codes, messages, resumption_fields
from soundpost.wire.messages import ClientMessage, SignIn, Subscribe, Unsubscribe, decode_data
from soundpost.wire.printable import printable


def receive(connection: Connection, payload: bytes) -> None:
    """Handle the payload of a text frame. Never raise: the sender gets a reply with the error."""
    try:
        app = connection.app
        for observer in app.node.observers:
            observer.message_received(connection, payload)
        if app.is_rate_limited and not flooding.within_rate(connection):
            app.figures.other_messages += 1
            return
        message = messages.decode_message(payload)
        pending = connection.pending_subscriptions
        if pending is None or (message.event == "pusher:subscribe" and not pending.waiting):
            _handle(connection, message)
        else:
            pending.wait(connection, partial(_handle, connection, message))
    except Exception as error:
        error_replies.reply(connection, error)


def _handle(connection: Connection, message: ClientMessage) -> None:
    event = message.event
    if event.startswith("client-"):
        client_events.relay(connection, message)
        return
    handler = _HANDLERS.get(event)
    if handler is None:
        raise ProtocolError(
            codes.INVALID_MESSAGE,
            f"Unknown event '{printable(event[:100])}': clients send pusher:subscribe, pusher:unsubscribe, "
            "pusher:signin, pusher:ping, pusher:pong, and events whose names begin with client-",
        )
    handler(connection, message)
    # Client events have a counter of their own, and refused messages are counted with their error replies.
    connection.app.figures.other_messages += 1


def _ping(connection: Connection, message: ClientMessage) -> None:
    connection.send(messages.PONG)


def _pong(connection: Connection, message: ClientMessage) -> None:
    """Do nothing: the transport has noted the time of the message already."""


def _subscribe(connection: Connection, message: ClientMessage) -> None:
    try:
        request = decode_data(message, Subscribe)
    except ProtocolError as error:
        raise resumption_fields.refusal(message) or error from None
    subscriptions.subscribe(connection, request)


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

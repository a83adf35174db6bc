"""Signing in, and closing the connections of a user.

Source: https://pusher.com/docs/channels/using_channels/user-authentication/
"""

from __future__ import annotations

import msgspec

from soundpost.core.app_state import AppState
from soundpost.core.connection import Connection
from soundpost.wire import codes, messages, signatures
from soundpost.wire.messages import SignIn


def sign_in(connection: Connection, request: SignIn) -> None:
    """Make a connection that of a user. A wrong signature or malformed user ends the connection with 4009."""
    app = connection.app.app
    key, _, signature = request.auth.partition(":")
    text = signatures.user_text(connection.socket_id, request.user_data)
    if key != app.key or not signatures.verify(app.secret, text, signature):
        connection.end(
            codes.UNAUTHORIZED,
            f"Connection is unauthorized: sign-in expected {app.key}: and the HMAC SHA256 hex digest of {text}",
        )
        return
    try:
        user = messages.decode_user_data(request.user_data)
    except (msgspec.DecodeError, RecursionError) as error:
        connection.end(codes.UNAUTHORIZED, f"Connection is unauthorized: user_data: {error}")
        return
    fault = _fault(connection, user)
    if fault is not None:
        connection.end(codes.UNAUTHORIZED, f"Connection is unauthorized: {fault}")
        return
    connection.user = user
    connection.app.users.setdefault(user.id, set()).add(connection)
    connection.send(messages.signin_success(request.user_data))


def sign_out(connection: Connection) -> None:
    """Forget who a connection belonged to."""
    user = connection.user
    if user is None:
        return
    connection.user = None
    others = connection.app.users[user.id]
    others.discard(connection)
    if not others:
        del connection.app.users[user.id]


def terminate(state: AppState, user_id: str) -> None:
    """Close every connection of a user on this node: those signed in as it, and those present as it on a channel."""
    targets = set(state.users.get(user_id, ()))
    for channel in state.channels.values():
        if channel.kind.is_presence:
            targets.update(c for c, present in channel.subscribers.items() if present == user_id)
            targets.update(c for c, joining in (channel.joining or {}).items() if joining.user_id == user_id)
    for connection in targets:
        connection.end(codes.UNAUTHORIZED, "You got disconnected by the app.")


def _fault(connection: Connection, user: messages.UserData) -> str | None:
    if not 1 <= len(user.id) <= connection.app.app.max_user_id_length:
        return f"user_data.id must be a string of 1 to {connection.app.app.max_user_id_length} characters"
    if len(bytes(user.user_info)) > connection.app.app.max_user_info_size:
        return f"user_info is larger than {connection.app.app.max_user_info_size} bytes"
    if connection.user is not None and connection.user.id != user.id:
        return f"this connection is signed in as '{connection.user.id}', not '{user.id}'"
    return None

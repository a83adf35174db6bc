"""Signing in, and closing the connections of a user.

Source: https://pusher.com/docs/channels/using_channels/user-authentication/
"""

from __future__ import annotations

from msgspec import Raw

from soundpost.core import subscriptions
from soundpost.core.app_state import AppState
from soundpost.core.connection import Connection, User
from soundpost.core.presence import id_fault
from soundpost.errors import JsonError
from soundpost.wire import codes, messages, signatures
from soundpost.wire.json_text import encode
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
        user, user_data = _read(request.user_data)
    except JsonError as error:
        connection.end(
            codes.UNAUTHORIZED,
            f'Connection is unauthorized: user_data needs an "id", a string or an integer of 64 bits: {error}',
        )
        return
    fault = _fault(connection, user)
    if fault is not None:
        connection.end(codes.UNAUTHORIZED, f"Connection is unauthorized: {fault}")
        return
    connection.user = user
    connection.app.users.setdefault(user.id, set()).add(connection)
    connection.app.unauthorized.pop(connection, None)
    subscriptions.subscribe_user(connection, user.id, lambda: connection.send(messages.signin_success(user_data)))


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


def _read(user_data: str) -> tuple[User, str]:
    """The user that signs in, and its data with the id as a string: the form that pusher-js takes."""
    data = messages.read_user_data(user_data)
    user = User(str(data.id), bytes(data.user_info))
    if isinstance(data.id, int):
        fields = messages.read_fields(user_data)
        fields["id"] = Raw(encode(user.id))
        user_data = encode(fields).decode()
    return user, user_data


def _fault(connection: Connection, user: User) -> str | None:
    fault = id_fault(user.id, connection.app.app.max_user_id_length)
    if fault is not None:
        return f"user_data.id {fault}"
    if len(user.info_json) > connection.app.app.max_user_info_size:
        return f"user_info is larger than {connection.app.app.max_user_info_size} bytes"
    if connection.user is not None and connection.user.id != user.id:
        return f"this connection is signed in as '{connection.user.id}', not '{user.id}'"
    return None

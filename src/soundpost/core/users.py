"""Signed-in users: sign-in, sign-out, and closing of a user's connections.

Source: https://pusher.com/docs/channels/using_channels/user-authentication/
"""

from __future__ import annotations

from functools import partial

from msgspec import Raw

from soundpost.core import subscriptions, watchlists
from soundpost.core.app import App
from soundpost.core.connection import Connection, User
from soundpost.core.figures import count
from soundpost.core.member import id_fault
from soundpost.core.refusals import WRONG_SIGN_IN, note_refused_message
from soundpost.core.slices import in_slices
from soundpost.errors import JsonError
from soundpost.wire import codes, messages, signatures
from soundpost.wire.json_text import encode
from soundpost.wire.messages import SignIn


def sign_in(connection: Connection, request: SignIn) -> None:
    """Sign a user in on a connection. A wrong signature or malformed user closes the connection with 4009."""
    settings = connection.app.settings
    key, _, signature = request.auth.partition(":")
    text = signatures.user_text(connection.socket_id, request.user_data)
    if key != settings.key or not signatures.verify(settings.secret, text, signature):
        count(connection.app.figures.failed_authorizations, "sign_in")
        _refuse(
            connection,
            f"sign-in expected {settings.key}: and the HMAC SHA256 hex digest of {text}",
            WRONG_SIGN_IN,
        )
        return
    try:
        user, user_data, watchlist = _read(request.user_data)
    except JsonError as error:
        _refuse(connection, f'user_data needs an "id", a string or an integer of 64 bits: {error}')
        return
    fault = _fault(connection, user)
    if fault is not None:
        _refuse(connection, fault)
        return
    connection.user = user
    app = connection.app
    app.unauthorized.pop(connection, None)
    connections = app.users.get(user.id)
    if connections is None:
        connections = app.users[user.id] = set()
        app.node.peers.sign_in(settings.id, user.id, user.info_json if app.reports else b"null")
    connections.add(connection)
    subscriptions.subscribe_user(connection, user.id, partial(_confirm, connection, user_data, watchlist))


def _refuse(connection: Connection, fault: str, for_operators: str | None = None) -> None:
    note_refused_message(connection, "sign-in", for_operators or f"Sign-in refused: {fault}", codes.UNAUTHORIZED)
    connection.end(codes.UNAUTHORIZED, f"Connection is unauthorized: {fault}")


def _confirm(connection: Connection, user_data: str, watchlist: bytes) -> None:
    connection.send(messages.signin_success(user_data))
    if watchlist == b"null" and not connection.app.watchlists:
        return
    request = watchlists.read(watchlist, connection.app.settings)
    for code, text in request.faults:
        connection.send_error(code, text)
    watchlists.begin(connection, request.user_ids)


def sign_out(connection: Connection, user: User, linger: float) -> None:
    """Sign out the user of a closed connection. The user stays online for ``linger`` seconds."""
    app = connection.app
    watchlists.end(connection)
    connection.user = None
    others = app.users[user.id]
    others.discard(connection)
    if not others:
        del app.users[user.id]
    if linger or not others:
        app.node.peers.sign_out(app.settings.id, user.id, linger, not others)


def terminate(app: App, user_id: str) -> None:
    """Close every connection of a user on this node: signed in as the user, or a member of a channel as the user.

    The time grows with the user's own connections only. Many connections are closed over several loop turns.
    """

    def end(connection: Connection) -> None:
        if connection.is_open:
            connection.end(codes.UNAUTHORIZED, "You got disconnected by the app.")

    connections = [*{*app.users.get(user_id, ()), *app.member_connections.get(user_id, ())}]
    in_slices(connections, end, app.node.call_soon, clock=app.node.clock)


def _read(user_data: str) -> tuple[User, str, bytes]:
    """Return the user, the user data with the id as a string (pusher-js accepts no other), and the watchlist."""
    data = messages.read_user_data(user_data)
    user = User(str(data.id), bytes(data.user_info))
    if isinstance(data.id, int):
        fields = messages.read_fields(user_data)
        fields["id"] = Raw(encode(user.id))
        user_data = encode(fields).decode()
    return user, user_data, bytes(data.watchlist)


def _fault(connection: Connection, user: User) -> str | None:
    fault = id_fault(user.id, connection.app.settings.max_user_id_length)
    if fault is not None:
        return f"user_data.id {fault}"
    if len(user.info_json) > connection.app.settings.max_user_info_size:
        return f"user_info is larger than {connection.app.settings.max_user_info_size} bytes"
    if connection.user is not None and connection.user.id != user.id:
        return f"this connection is signed in as '{connection.user.id}', not '{user.id}'"
    return None

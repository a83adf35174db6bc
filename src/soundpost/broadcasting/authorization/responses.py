"""Responses to auth requests, byte for byte as laravel-echo and pusher-js expect them.

Source: https://pusher.com/docs/channels/library_auth_reference/auth-signatures/
"""

from __future__ import annotations

import base64
from typing import Any, Final, NamedTuple

from soundpost.broadcasting.authorization.limits import check_member, check_message, compact_json
from soundpost.broadcasting.authorization.requests import AuthQuestion
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.wire.channel_names import kind_of
from soundpost.wire.encryption import shared_secret
from soundpost.wire.signatures import channel_text, sign, user_text

HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}
"""Headers of every auth response."""


class AuthResponse(NamedTuple):
    """An HTTP response of an auth endpoint: its status, and its body, which is always JSON."""

    status: int
    body: str


def subscription_response(
    connection: ConnectionSettings, question: AuthQuestion, member: dict[str, Any] | None, route: str
) -> AuthResponse:
    """Return the signature with which a socket may subscribe, for presence channels with the ``member`` in it.

    ``route`` names the channel route in errors. Raises RouteError for a member that is too large for the server,
    ConfigurationError for an encrypted channel without a master key.
    """
    data = None
    if member is not None:
        check_member(connection, route, member["user_id"], member.get("user_info"))
        data = compact_json(member)
    text = channel_text(question.socket_id, question.channel, data)
    answer = {"auth": f"{connection.key}:{sign(connection.secret, text)}"}
    if data is not None:
        answer["channel_data"] = data
        check_message(connection, route, "pusher:subscribe", {**answer, "channel": question.channel})
    if kind_of(question.channel).is_encrypted:
        secret = shared_secret(question.channel, connection.master_key(question.channel))
        answer["shared_secret"] = base64.b64encode(secret).decode()
    return AuthResponse(200, compact_json(answer))


def sign_in_response(
    connection: ConnectionSettings, socket_id: str, user_id: str, data: dict[str, Any]
) -> AuthResponse:
    """Return the signature with which a socket signs in as a user; ``data`` is the application's, without the id.

    Raises RouteError for a user that is too large for the server.
    """
    check_member(connection, "sign-in", user_id, data.get("user_info"))
    text = compact_json({"id": user_id, **data})
    auth = f"{connection.key}:{sign(connection.secret, user_text(socket_id, text))}"
    answer = {"auth": auth, "user_data": text}
    check_message(connection, "sign-in", "pusher:signin", answer)
    return AuthResponse(200, compact_json(answer))


def refusal_response(status: int, reason: str) -> AuthResponse:
    """Return a refusal; the browser gets the ``reason`` as ``message``."""
    return AuthResponse(status, compact_json({"message": reason}))

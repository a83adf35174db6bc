"""Limits of a server for members and users: larger ones are refused before they are signed.

The server would refuse a larger one, or end the browser's connection: out of the application's sight.
"""

from __future__ import annotations

import json
from typing import Any, Final

from soundpost.broadcasting.embedded_servers import AppLimits, server_of
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import RouteError

_DRIVERS_WITHOUT: Final = ("reverb",)
"""Drivers whose servers have no limits for ``user_info`` and ids, only for whole messages."""


def app_limits(connection: ConnectionSettings) -> AppLimits:
    """Return the limits of a connection's app: of an embedded server itself, of other servers as configured here."""
    if connection.driver == "embedded":
        server = server_of(connection.app_id)
        if server is not None:
            return next(app for app in server.apps if app.id == connection.app_id)
    return connection


def check_member(connection: ConnectionSettings, what: str, user_id: str, user_info: Any) -> None:
    """Check that the server takes a presence member, or a user who signs in. Raises RouteError for one too large.

    ``what`` names the channel route, or the sign-in.
    """
    if connection.driver in _DRIVERS_WITHOUT:
        return
    limits = app_limits(connection)
    if len(user_id) > limits.max_user_id_length:
        raise RouteError(
            f"{what}: the user's id has {len(user_id)} characters, the server takes {limits.max_user_id_length} "
            "(max_user_id_length)"
        )
    size = len(compact_json(user_info).encode())
    if size > limits.max_user_info_size:
        raise RouteError(
            f"{what}: user_info has {size} bytes, the server takes {limits.max_user_info_size} (max_user_info_size). "
            "Return less data, or raise the option at the server and here (SOUNDPOST_APP_MAX_USER_INFO_SIZE)"
        )


def check_message(connection: ConnectionSettings, what: str, event: str, data: dict[str, str]) -> None:
    """Check that the server takes the message that the browser will send. Raises RouteError for one too large."""
    limit = app_limits(connection).max_message_size
    size = len(compact_json({"event": event, "data": data}).encode())
    if size > limit:
        raise RouteError(
            f"{what}: with the returned data the browser's message has {size} bytes, the server takes {limit} "
            "(max_message_size). Return less data, or raise the option at the server and here "
            "(SOUNDPOST_APP_MAX_MESSAGE_SIZE)"
        )


def compact_json(value: Any) -> str:
    """Return JSON as browsers write it: without spaces, with characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

"""The records of webhooks: one function for each form of an event's body, with Pusher's fields in Pusher's order.

Source: https://pusher.com/docs/channels/server_api/webhooks/
"""

from __future__ import annotations

import time
from typing import Any

from msgspec import Raw

from soundpost.core.webhooks import WebhookEvent
from soundpost.wire.json_text import encode

_NO_INFO = b"null"


def channel_event(name: str, channel: str) -> WebhookEvent:
    """Return the record of an event with no field but the channel, such as ``channel_occupied``."""
    return _record(name, channel, "", {})


def subscription_count(channel: str, count: int) -> WebhookEvent:
    """Return the record of a channel's number of subscriptions."""
    return _record("subscription_count", channel, "", {"subscription_count": count})


def member_event(
    name: str, channel: str, user_id: str, info_json: bytes, socket_id: str | None = None, *, is_final: bool = False
) -> WebhookEvent:
    """Return the record of a member who joined or left; ``socket_id`` is that of its connection, where it is known."""
    fields = {"user_id": user_id, **_info(info_json)}
    if socket_id is not None:
        fields["socket_id"] = socket_id
    return _record(name, channel, user_id, fields, is_final)


def client_event(channel: str, event: str, data: str, socket_id: str, user_id: str | None) -> WebhookEvent:
    """Return the record of a client event; ``user_id`` is the sender's, if it is a member or signed in."""
    fields = {"event": event, "data": data, "socket_id": socket_id, **({} if user_id is None else {"user_id": user_id})}
    return _record("client_event", channel, user_id or "", fields)


def user_event(name: str, user_id: str, info_json: bytes = _NO_INFO, *, is_final: bool = False) -> WebhookEvent:
    """Return the record of a user whose first connection signed in, or whose last signed-in connection is gone."""
    return _record(name, "", user_id, {"user_id": user_id, **_info(info_json)}, is_final)


def connection_event(
    name: str, socket_id: str, address: str, origin: str | None, user_id: str | None = None, code: int | None = None
) -> WebhookEvent:
    """Return the record of a connection that opened or closed; ``code`` is that of the close frame, if there was one.

    ``origin`` is None for a client that sent none.
    """
    fields: dict[str, Any] = {"socket_id": socket_id, "address": address, "origin": origin}
    if user_id is not None:
        fields["user_id"] = user_id
    if code is not None:
        fields["code"] = code
    return _record(name, "", user_id or "", fields)


def _info(info_json: bytes) -> dict[str, Any]:
    return {} if info_json == _NO_INFO else {"user_info": Raw(info_json)}


def _record(name: str, channel: str, user_id: str, fields: dict[str, Any], is_final: bool = False) -> WebhookEvent:
    head = {"name": name, "channel": channel} if channel else {"name": name}
    return WebhookEvent(name, channel, user_id, encode(head | fields), time.time_ns() // 1_000_000, is_final)

"""Examples of the events that an endpoint is configured for: no real user, no real connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from soundpost.core.webhooks import WITHOUT_CHANNEL
from soundpost.wire.channel_names import kind_of
from soundpost.wire.json_text import encode
from soundpost.wire.webhook_channels import is_about

USER: Final = "example-user"
_SOCKET: Final = "1.1"
_PREFIXES: Final = {
    "member_added": ("presence-",),
    "member_removed": ("presence-",),
    "client_event": ("presence-", "private-"),
    "cache_miss": ("cache-", "private-cache-", "presence-cache-"),
    "subscription_count": ("", "private-"),
}
"""Prefixes to try before a pattern that begins with ``*``, by the name of the event; none for others."""
_MEMBER: Final[dict[str, object]] = {"user_id": USER, "user_info": {"name": "Example"}, "socket_id": _SOCKET}
_FIELDS: Final[dict[str, dict[str, object]]] = {
    "member_added": _MEMBER,
    "member_removed": _MEMBER,
    "client_event": {"event": "client-example", "data": "{}", "socket_id": _SOCKET, "user_id": USER},
    "subscription_count": {"subscription_count": 1},
    "user_online": {"user_id": USER},
    "user_offline": {"user_id": USER},
    "connection_opened": {"socket_id": _SOCKET, "address": "192.0.2.1", "origin": "https://example.com"},
    "connection_closed": {"socket_id": _SOCKET, "address": "192.0.2.1", "origin": "https://example.com", "code": 1000},
}


def example(name: str, patterns: Sequence[str], user_id: str = USER) -> bytes | None:
    """Return the JSON object of an event, without id and time; None if no channel of the patterns can have it."""
    fields = dict(_FIELDS.get(name, {}))
    if "user_id" in fields:
        fields["user_id"] = user_id
    if name in WITHOUT_CHANNEL:
        return encode({"name": name, **fields})
    channel = _channel(name, patterns)
    if channel is None:
        return None
    if name == "client_event" and not kind_of(channel).is_presence:
        del fields["user_id"]
    return encode({"name": name, "channel": channel, **fields})


def _channel(name: str, patterns: Sequence[str]) -> str | None:
    """Return a channel that a pattern matches and the event can be about."""
    prefixes = _PREFIXES.get(name, ("",))
    for pattern in patterns:
        plain = re.sub(r"\*+", "example", pattern)
        for channel in [f"{prefix}{plain}" for prefix in prefixes] if pattern.startswith("*") else [plain]:
            if is_about(name, kind_of(channel)):
                return channel
    return None

"""Authorize subscriptions with an app's own secret, as its auth endpoint would.

Source: https://pusher.com/docs/channels/library_auth_reference/auth-signatures/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from soundpost.wire.channel_names import kind_of
from soundpost.wire.messages import encode
from soundpost.wire.signatures import channel_text, sign


class ChannelAuth(NamedTuple):
    """What a subscription is sent with; ``channel_data`` on presence channels."""

    auth: str
    channel_data: str | None = None


Authorize = Callable[[str, str], ChannelAuth | Awaitable[ChannelAuth | None] | None]
"""Called with socket id and channel for every subscription, again after a reconnection; None: no auth needed.

May be a coroutine function: one that asks an application's auth endpoint, say."""


def with_secret(key: str, secret: str, *, user_id: str = "", user_info: Any = None) -> Authorize:
    """An authorizer that signs by itself; ``user_id`` and ``user_info`` are who it is on presence channels."""

    def authorize(socket_id: str, channel: str) -> ChannelAuth | None:
        kind = kind_of(channel)
        if not kind.needs_auth:
            return None
        member = {"user_id": user_id} if user_info is None else {"user_id": user_id, "user_info": user_info}
        channel_data = encode(member).decode() if kind.is_presence else None
        return ChannelAuth(f"{key}:{sign(secret, channel_text(socket_id, channel, channel_data))}", channel_data)

    return authorize

"""Publishing an application's event, and asking about channels: what the HTTP API does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from soundpost.core.app_state import AppState
from soundpost.core.connection import Connection
from soundpost.wire import channel_names, messages


def publish(state: AppState, channel_name: str, event: str, data: str, except_socket_id: str | None = None) -> None:
    """Deliver an event to all subscribers of a channel, on all nodes, but one; keep it, on a cache channel."""
    channel = state.channels.get(channel_name)
    frame = messages.event(event, channel_name, data)
    if channel_names.kind_of(channel_name).is_cache:
        app = state.app
        state.cache.put(channel_name, event, data, frame, ttl=app.cache_ttl, max_channels=app.max_cached_channels)
    if channel is not None:
        excepted: Connection | None = None
        if except_socket_id is not None:
            excepted = state.connections.get(except_socket_id)
        channel.queue(frame, excepted)
    state.node.peers.publish(state.app.id, channel_name, frame, except_socket_id)


def channel_info(state: AppState, channel_name: str, attributes: Iterable[str]) -> dict[str, Any]:
    """The asked-for attributes that apply: ``user_count``, ``subscription_count``, ``cache``. Others are left out."""
    channel = state.channels.get(channel_name)
    info: dict[str, Any] = {}
    for attribute in attributes:
        if attribute == "user_count" and channel is not None and channel.members is not None:
            info["user_count"] = len(channel.members)
        elif attribute == "subscription_count" and channel is not None:
            info["subscription_count"] = len(channel.subscribers)
        elif attribute == "cache":
            cached = state.cache.get(channel_name)
            if cached is not None:
                info["cache"] = {
                    "event": cached.name,
                    "data": cached.data,
                    "ttl": state.cache.seconds_left(cached),
                }
    return info

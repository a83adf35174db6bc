"""``GET /apps/{id}/channels…``: which channels are occupied, and by whom."""

from __future__ import annotations

import msgspec

from soundpost.core.app_state import AppState
from soundpost.core.publishing import channel_info
from soundpost.server.requests import ApiError, Request, Response, json_response
from soundpost.wire import channel_names
from soundpost.wire.messages import encode


def get_channels(request: Request, state: AppState, query: dict[str, str]) -> Response:
    """All occupied channels, or those whose names begin with ``filter_by_prefix``."""
    prefix = query.get("filter_by_prefix", "")
    asked = _asked(query)
    if "user_count" in asked and not prefix.startswith("presence-"):
        raise ApiError(400, "info=user_count needs filter_by_prefix=presence-…: other channels have no users")
    return json_response(
        {"channels": {name: channel_info(state, name, asked) for name in state.channels if name.startswith(prefix)}}
    )


def get_channel(request: Request, state: AppState, query: dict[str, str], name: str) -> Response:
    """One channel, occupied or not."""
    _check_name(state, name)
    return json_response({"occupied": name in state.channels} | channel_info(state, name, _asked(query)))


def get_channel_users(request: Request, state: AppState, query: dict[str, str], name: str) -> Response:
    """The users of a presence channel, ids as their applications wrote them."""
    _check_name(state, name)
    if not channel_names.kind_of(name).is_presence:
        raise ApiError(400, f"{name} is not a presence channel: only those have users")
    channel = state.channels.get(name)
    if channel is None or channel.members is None:
        raise ApiError(404, f"{name} has no users")
    return Response(body=encode({"users": [{"id": msgspec.Raw(user_id)} for user_id in channel.members.ids_json]}))


def get_connections(request: Request, state: AppState, query: dict[str, str]) -> Response:
    """How many connections the app has (Reverb's addition to the API)."""
    return json_response({"connections": len(state.connections)})


def _asked(query: dict[str, str]) -> list[str]:
    return [attribute.strip() for attribute in query.get("info", "").split(",") if attribute.strip()]


def _check_name(state: AppState, name: str) -> None:
    fault = channel_names.fault(name, state.app.max_channel_name_length)
    if fault is not None:
        raise ApiError(400, fault)

"""The routes ``GET /apps/{id}/channels…`` and ``/connections``: occupied channels, their users, connections."""

from __future__ import annotations

from typing import Final

from soundpost.backplane.attributes import answered
from soundpost.core.app import App
from soundpost.core.peers import ChannelQuery, ChannelsQuery, ConnectionsQuery, UsersQuery
from soundpost.server.api.pending_response import PendingResponse, ask_nodes
from soundpost.server.api.requests import ApiError, Request, Response, json_response
from soundpost.wire import channel_names

ATTRIBUTES: Final = ("user_count", "subscription_count", "cache", "position")


def attributes(info: str) -> list[str]:
    """Return the known attributes in an ``info`` parameter, which has names with commas in between."""
    asked = [name.strip() for name in info.split(",")]
    return [name for name in ATTRIBUTES if name in asked]


def get_channels(request: Request, app: App, query: dict[str, str]) -> PendingResponse:
    """Answer with all occupied channels, or those whose names begin with ``filter_by_prefix``."""
    prefix = query.get("filter_by_prefix", "")
    asked = attributes(query.get("info", ""))
    if "user_count" in asked and not prefix.startswith("presence-"):
        raise ApiError(400, "info=user_count needs filter_by_prefix=presence-…: other channels have no users")
    return ask_nodes(
        app,
        ChannelsQuery(app.settings.id, prefix, asked),
        lambda channels: Response(body=b"".join((b'{"channels":', channels, b"}"))),  # "%" would copy it twice
    )


def get_channel(request: Request, app: App, query: dict[str, str], name: str) -> PendingResponse:
    """Answer with the attributes of one channel, occupied or not."""
    _check_name(app, name)
    asked = ["occupied", *attributes(query.get("info", ""))]
    return ask_nodes(
        app, ChannelQuery(app.settings.id, [name], asked), lambda channels: json_response(answered(channels[0]))
    )


def get_channel_users(request: Request, app: App, query: dict[str, str], name: str) -> PendingResponse:
    """Answer with the users of a presence channel, ids as JSON as the application wrote them."""
    _check_name(app, name)
    if not channel_names.kind_of(name).is_presence:
        raise ApiError(400, f"{name} is not a presence channel: only those have users")

    def users(ids: list[bytes]) -> Response:
        return Response(body=b'{"users":[%b]}' % b",".join([b'{"id":%b}' % user_id for user_id in ids]))

    return ask_nodes(app, UsersQuery(app.settings.id, name), users)


def get_connections(request: Request, app: App, query: dict[str, str]) -> PendingResponse:
    """Answer with the number of the app's connections (Reverb's addition to the API)."""
    return ask_nodes(app, ConnectionsQuery(app.settings.id), lambda count: json_response({"connections": count}))


def _check_name(app: App, name: str) -> None:
    fault = channel_names.fault(name, app.settings.max_channel_name_length)
    if fault is not None:
        raise ApiError(400, fault)

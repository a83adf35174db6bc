"""Pages of channels, connections and refusals, over all nodes of all hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from soundpost.core.inspection import (
    MAX_PAGE,
    ChannelKind,
    ChannelPage,
    CloseConnection,
    ConnectionPage,
    GetConnection,
    ListChannels,
    ListConnections,
    ListRefusals,
)
from soundpost.server.admin_http import AdminError, AdminRequest, AdminResponse, Answer, json_answer
from soundpost.server.dashboard.daemon_view import DaemonView, app_of
from soundpost.server.inspection.joining import Joined

_KINDS: Final[tuple[ChannelKind, ...]] = get_args(ChannelKind)
_LIMIT: Final = 50
_REFUSALS: Final = 200
_MAX_LENGTH: Final = 500
"""Characters of a text that is searched for."""


class InspectionPages:
    """Handlers for what the nodes of all hosts know."""

    def __init__(self, daemon: DaemonView) -> None:
        self._daemon = daemon

    async def list_channels(self, request: AdminRequest) -> Answer:
        """Answer with a page of occupied channels by name."""
        app_of(self._daemon, request.names["app"])
        found = await self._daemon.inspector.ask(
            ListChannels(
                app_id=request.names["app"],
                search=_text(request, "search"),
                kind=_kind(request),
                after=_text(request, "after"),
                limit=_limit(request),
            )
        )
        return _page("channels", found.reply.channels, found)

    async def list_connections(self, request: AdminRequest) -> Answer:
        """Answer with a page of connections by socket id."""
        app_of(self._daemon, request.names["app"])
        found = await self._daemon.inspector.ask(
            ListConnections(
                app_id=request.names["app"],
                search=_text(request, "search"),
                channel=_text(request, "channel"),
                user_id=_text(request, "user"),
                after=_text(request, "after"),
                limit=_limit(request),
            )
        )
        return _page("connections", found.reply.connections, found)

    async def get_connection(self, request: AdminRequest) -> Answer:
        """Answer with one connection and its channels."""
        app_of(self._daemon, request.names["app"])
        found = await self._daemon.inspector.ask(
            GetConnection(app_id=request.names["app"], socket_id=request.names["socket"])
        )
        if not found.reply.connections:
            raise _not_found(request, found.missing)
        line = msgspec.to_builtins(found.reply.connections[0])
        return json_answer(line | {"missing": found.missing})

    async def close_connection(self, request: AdminRequest) -> Answer:
        """Close one connection with 4009."""
        app_of(self._daemon, request.names["app"])
        found = await self._daemon.inspector.ask(
            CloseConnection(app_id=request.names["app"], socket_id=request.names["socket"])
        )
        if not found.reply.found:
            raise _not_found(request, found.missing)
        return AdminResponse(204)

    async def list_refusals(self, request: AdminRequest) -> Answer:
        """Answer with recent refusals, newest first."""
        found = await self._daemon.inspector.ask(ListRefusals(limit=_REFUSALS))
        return json_answer({"refusals": found.reply.refusals, "missing": found.missing})


def _page(name: str, lines: Sequence[object], found: Joined[ChannelPage] | Joined[ConnectionPage]) -> Answer:
    return json_answer({name: lines, "total": found.reply.total, "next": found.next, "missing": found.missing})


def _not_found(request: AdminRequest, missing: list[str]) -> AdminError:
    socket_id = request.names["socket"]
    unanswered = f"; {', '.join(missing)} did not answer, and may have it" if missing else ""
    return AdminError(404, f"There is no connection {socket_id[:100]!a} now{unanswered}")


def _text(request: AdminRequest, name: str) -> str:
    text = request.query.get(name, "")
    if len(text) > _MAX_LENGTH:
        raise AdminError(422, f"{name}: {len(text)} characters, at most {_MAX_LENGTH} are allowed")
    return text


def _kind(request: AdminRequest) -> ChannelKind:
    text = request.query.get("kind", "")
    for kind in _KINDS:
        if kind == text:
            return kind
    raise AdminError(422, f"kind={text[:60]!a}: expected one of {', '.join(filter(None, _KINDS))}")


def _limit(request: AdminRequest) -> int:
    text = request.query.get("limit", str(_LIMIT))
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE:
        return int(text)
    raise AdminError(422, f"limit={text[:60]!a}: expected a whole number from 1 to {MAX_PAGE}")

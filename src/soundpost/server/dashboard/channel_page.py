"""One channel: subscribers, members, history and last event, over all nodes of all hosts."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from soundpost.core.app import App
from soundpost.core.history import HistoryPage
from soundpost.core.inspection import GetChannel
from soundpost.core.peers import ChannelQuery, HistoryQuery, Query, UsersQuery
from soundpost.server.admin_http import AdminError, AdminRequest, Answer, json_answer
from soundpost.server.dashboard.daemon_view import DaemonView, app_of
from soundpost.wire.channel_names import fault, kind_of

MAX_MEMBERS: Final = 1_000
"""Largest number of members in an answer."""
_TIME_TO_ANSWER: Final = 3.0
_EVENTS_AT_ONCE: Final = 1_000
_BYTES_AT_ONCE: Final = 524_288
_PAGES: Final = 2
"""Pages of a history that are read; of a longer history not all events and bytes are counted."""


class ChannelPages:
    """Handler for one channel."""

    def __init__(self, daemon: DaemonView) -> None:
        self._daemon = daemon

    async def get_channel(self, request: AdminRequest) -> Answer:
        """Answer with subscribers, members, history and last event of a channel."""
        app, name = app_of(self._daemon, request.names["app"]), request.names["name"]
        wrong = fault(name, app.settings.max_channel_name_length)
        if wrong is not None:
            raise AdminError(422, wrong)
        found = await self._daemon.inspector.ask(GetChannel(app_id=app.settings.id, name=name))
        line = found.reply.channels[0] if found.reply.channels else None
        kind = kind_of(name)
        attributes = (await _ask(app, ChannelQuery(app.settings.id, [name], ["subscription_count", "user_count"])))[0]
        history = await _history(app, name)
        if line is None and not attributes["subscription_count"] and history is None:
            raise AdminError(404, f"Nobody is subscribed to {name}, and it has no kept events")
        return json_answer(
            {
                "name": name,
                "kind": kind.word,
                "subscribers": attributes["subscription_count"],
                "members": await _members(app, name) if kind.is_presence else [],
                "member_count": attributes.get("user_count"),
                "history": history,
                "last_event": "" if line is None else line.last_event,
                "last_event_at": None if line is None else line.last_event_at,
                "missing": found.missing,
            }
        )


async def _members(app: App, name: str) -> list[str]:
    ids = await _ask(app, UsersQuery(app.settings.id, name))
    return [_plain(msgspec.json.decode(each)) for each in ids[:MAX_MEMBERS]]


def _plain(user_id: Any) -> str:
    return user_id if isinstance(user_id, str) else msgspec.json.encode(user_id).decode()


async def _history(app: App, name: str) -> dict[str, Any] | None:
    """Return offsets, number and size of the kept events; None if there is none."""
    if app.history_rules.of(name) is None:
        return None
    after, first, last = "", 0, 0
    events = size = 0
    is_whole = False
    for _ in range(_PAGES):
        page: HistoryPage = await _ask(app, HistoryQuery(app.settings.id, name, after, _EVENTS_AT_ONCE, _BYTES_AT_ONCE))
        if page.events:
            first = first or page.events[0].offset
            last = page.events[-1].offset
            events += len(page.events)
            size += sum([len(event.frame) for event in page.events])
        after, is_whole = page.position, page.whole
        if is_whole or not page.events:
            break
    return {"first": first, "last": last, "events": events, "bytes": size, "more": not is_whole} if events else None


async def _ask(app: App, query: Query) -> Any:
    """Return the answer of all nodes to a query. Raises AdminError if it does not come in time."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    app.node.peers.ask(query, lambda found: None if answer.done() else answer.set_result(found))
    try:
        async with asyncio.timeout(_TIME_TO_ANSWER):
            return await answer
    except TimeoutError:
        raise AdminError(504, "Redis does not answer: the log of this server says why") from None

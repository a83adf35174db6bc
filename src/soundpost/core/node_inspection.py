"""A node's replies to questions of operators, and its tails."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, assert_never

from msgspec.structs import replace

from soundpost.core.channel import Channel
from soundpost.core.connection import Connection
from soundpost.core.inspection import (
    MAX_PAGE,
    ChannelLine,
    ChannelPage,
    CloseConnection,
    Closed,
    ConnectionLine,
    ConnectionPage,
    GetChannel,
    GetConnection,
    ListChannels,
    ListConnections,
    ListRefusals,
    Question,
    RefusalLine,
    RefusalPage,
    Reply,
    StartTail,
    TailLine,
    TailLines,
)
from soundpost.core.paging import TURN, OneByOne, Page, hash_of, smallest
from soundpost.core.refusals import without_secrets
from soundpost.core.tail import LASTS, Tail
from soundpost.wire import codes
from soundpost.wire.frames import frame_payload

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.core.node import Node

MAX_TAILS: Final = 20
"""Largest number of tails on a node at a time."""
_MAX_NAMES: Final = 1_000
"""Largest number of channel names in the reply about a connection."""
_NAME: Final = b'{"event":"'
_OF_ADDRESS: Final = re.compile(r"[0-9a-f.:]+")
"""Pattern of texts that an address can contain. For other texts, the kernel is not asked for each address."""


class NodeInspection:
    """Replies of a node to operators. Each reply is bounded, and is built for some milliseconds in each loop turn."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._in_turn = OneByOne(node.call_soon)
        self._tails: dict[str, Tail] = {}

    def reply(self, question: Question, then: Callable[[Reply], None]) -> None:
        """Reply to a question, later or before the method returns. For an unknown app the reply is empty."""
        if isinstance(question, ListRefusals):
            latest = self._node.refusals.latest(min(question.limit, MAX_PAGE))
            self._in_turn(partial(self._list_refusals, latest, [], then))
            return
        app = self._node.by_id.get(question.app_id)
        match question:
            case ListChannels():
                self._in_turn(partial(self._list_channels, app, question, then))
            case GetChannel():
                channel = None if app is None else app.channels.get(question.name)
                found = [] if channel is None or not channel.subscribers else [_channel_line(channel)]
                then(ChannelPage(found, len(found), smallest(map(hash_of, [line.name for line in found]))))
            case ListConnections():
                self._in_turn(partial(self._list_connections, app, question, then))
            case GetConnection():
                connection = None if app is None else app.connections.get(question.socket_id)
                lines = [] if connection is None else [_detailed(connection)]
                then(ConnectionPage(lines, len(lines)))
            case CloseConnection():
                connection = None if app is None else app.connections.get(question.socket_id)
                if connection is not None and connection.is_open:
                    connection.end(codes.UNAUTHORIZED, "You got disconnected by an operator of the server.")
                then(Closed(connection is not None))
            case _:
                assert_never(question)

    def _list_channels(self, app: App | None, question: ListChannels, then: Callable[[Reply], None]) -> None:
        search, kind = question.search.lower(), question.kind

        def name_of(channel: Channel) -> str | None:
            if not channel.subscribers or (kind and channel.kind.word != kind):
                return None
            return channel.name if search in channel.name.lower() else None

        def made(channels: list[Channel], total: int, sample: list[int]) -> None:
            then(ChannelPage([_channel_line(channel) for channel in channels], total, sample))

        Page(
            [] if app is None else list(app.channels.values()),
            name_of,
            made,
            after=question.after,
            limit=min(question.limit, MAX_PAGE),
            call_soon=self._in_turn,
            clock=self._node.clock,
            sampled=True,
        ).make()

    def _list_connections(self, app: App | None, question: ListConnections, then: Callable[[Reply], None]) -> None:
        search, user_id = question.search.lower(), question.user_id

        def name_of(connection: Connection) -> str | None:
            if not connection.is_open or (user_id and connection not in users):
                return None
            return connection.socket_id if not search or _contains(connection, search) else None

        def made(connections: list[Connection], total: int, sample: list[int]) -> None:
            then(ConnectionPage([_connection_line(connection) for connection in connections], total))

        users = set() if app is None or not user_id else _connections_of(app, user_id)
        Page(
            [] if app is None else _candidates(app, question.channel, users if user_id else None),
            name_of,
            made,
            after=question.after,
            limit=min(question.limit, MAX_PAGE),
            call_soon=self._in_turn,
            clock=self._node.clock,
        ).make()

    def _list_refusals(self, left: list[RefusalLine], made: list[RefusalLine], then: Callable[[Reply], None]) -> None:
        """Remove secrets from lines, for some milliseconds in each loop turn, as very many apps can exist."""
        deadline = self._node.clock() + TURN
        for number, line in enumerate(left, 1):
            made.append(replace(line, reason=without_secrets(line.reason, self._node.secrets)))
            if self._node.clock() >= deadline:
                self._in_turn(partial(self._list_refusals, left[number:], made, then))
                return
        then(RefusalPage(made))

    # Tails

    def start_tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> None:
        """Begin a tail, or continue the tail with this id."""
        running = self._tails.get(start.tail_id)
        if running is not None:
            running.renew(on_lines)
            return
        node = self._node
        if len(self._tails) >= MAX_TAILS:
            reason = f"{MAX_TAILS} tails run on this node, and no further one can: close one of the others"
            on_lines(TailLines(start.tail_id, [TailLine(node.wall_clock(), "refused", detail=reason)]))
            return
        tail = self._tails[start.tail_id] = Tail(node, start, on_lines)
        node.observers = (*node.observers, tail)
        self._end_in_time(start.tail_id, tail, LASTS)

    def _end_in_time(self, tail_id: str, tail: Tail, seconds: float) -> None:
        self._node.call_later(seconds, partial(self._look_at, tail_id, tail))

    def _look_at(self, tail_id: str, tail: Tail) -> None:
        """End a tail that nobody has renewed in time; check a renewed one again later."""
        if self._tails.get(tail_id) is not tail:
            return
        left = tail.ends_at - self._node.clock()
        if left > 0:
            self._end_in_time(tail_id, tail, left)
        else:
            self.stop_tail(tail_id)

    def stop_tail(self, tail_id: str) -> None:
        """End a tail, if it runs."""
        tail = self._tails.pop(tail_id, None)
        if tail is not None:
            node = self._node
            node.observers = tuple(observer for observer in node.observers if observer is not tail)


def _channel_line(channel: Channel) -> ChannelLine:
    return ChannelLine(
        channel.name,
        len(channel.subscribers),
        last_event=_event_name(channel.last_event),
        last_event_at=channel.last_event_at or None,
    )


def _event_name(beginning: bytes) -> str:
    """Return the event name in the first bytes of a frame, cut off if the bytes end within the name."""
    payload = frame_payload(beginning) if len(beginning) > 1 else b""
    if not payload.startswith(_NAME):
        return ""
    name, end, _ = payload[len(_NAME) :].partition(b'"')
    return name.decode(errors="replace") + ("" if end else "…")


def _candidates(app: App, channel: str, users: Collection[Connection] | None) -> list[Connection]:
    """Return the smallest known group of connections that has all those which a question asks for."""
    if channel:
        found = app.channels.get(channel)
        return [] if found is None else list(found.subscribers)
    return list(app.connections.values() if users is None else users)


def _connections_of(app: App, user_id: str) -> set[Connection]:
    return {*app.users.get(user_id, ()), *app.member_connections.get(user_id, ())}


def _contains(connection: Connection, search: str) -> bool:
    library, origin = connection.client
    if search in connection.socket_id or search in library.lower() or search in origin.lower():
        return True
    if search in (_user_id(connection) or "").lower():
        return True
    return _OF_ADDRESS.fullmatch(search) is not None and search in connection.address


def _user_id(connection: Connection) -> str | None:
    """Return the user id of a connection: of its sign-in, or of its membership in a presence channel."""
    if connection.user is not None:
        return connection.user.id
    for channel in connection.channels:
        if channel.kind.is_presence:
            return channel.subscribers.get(connection)
    return None


def _connection_line(connection: Connection, names: list[str] | None = None) -> ConnectionLine:
    library, origin = connection.client
    return ConnectionLine(
        connection.socket_id,
        connection.since,
        connection.address,
        origin,
        library,
        _user_id(connection),
        len(connection.channels),
        connection.waiting_bytes,
        channel_names=names or [],
    )


def _detailed(connection: Connection) -> ConnectionLine:
    return _connection_line(connection, sorted(channel.name for channel in islice(connection.channels, _MAX_NAMES)))

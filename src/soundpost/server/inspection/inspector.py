"""Questions of the dashboard to all nodes there are, with joined replies; and tails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar, overload

from msgspec.structs import replace

from soundpost.core.inspection import (
    ChannelLine,
    ChannelPage,
    CloseConnection,
    Closed,
    ConnectionPage,
    EndpointPage,
    GetChannel,
    GetConnection,
    HostQuestion,
    ListChannels,
    ListConnections,
    ListDeliveries,
    ListRefusals,
    Question,
    RefusalPage,
    Reply,
    SendAgain,
    SentAgain,
    StartTail,
    TailLines,
)
from soundpost.core.peers import ChannelQuery, Query
from soundpost.core.tail_lines import LimitedLines
from soundpost.server.inspection.host_inspection import HostInspection
from soundpost.server.inspection.joining import Joined, join, next_of
from soundpost.wire.channel_names import kind_of

ReplyT = TypeVar("ReplyT")
OtherReplyT = TypeVar("OtherReplyT")

RENEWAL: Final = 10
"""Seconds after which a tail is started again: nodes end one that is not, and nodes that have come since begin it."""
_TIME_TO_COUNT: Final = 0.5
"""Seconds that the registry has to count members."""


class OtherHosts(Protocol):
    """The other hosts of a cluster."""

    def ask(
        self, question: Question | HostQuestion, then: Callable[[list[tuple[str, Reply]], list[str]], None]
    ) -> None:
        """Call back with the replies of all other hosts by name, and the names of what did not reply in time."""

    def start_tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> None:
        """Begin a tail on all other hosts, or keep it going."""

    def stop_tail(self, tail_id: str) -> None:
        """End a tail on all other hosts."""


class Inspector:
    """Asks all nodes of this host, and of all others of its cluster. Made and used in a running event loop.

    ``name`` is that of this host; ``answer`` is the registry's answer to a query about all nodes.
    """

    def __init__(
        self,
        name: str,
        host: HostInspection,
        others: OtherHosts | None = None,
        answer: Callable[[Query, Callable[[Any], None]], None] | None = None,
    ) -> None:
        self.name = name
        self._host = host
        self._others = others
        self._answer = answer
        self._loop = asyncio.get_running_loop()

    @overload
    async def ask(self, question: ListChannels | GetChannel) -> Joined[ChannelPage]: ...
    @overload
    async def ask(self, question: ListConnections | GetConnection) -> Joined[ConnectionPage]: ...
    @overload
    async def ask(self, question: CloseConnection) -> Joined[Closed]: ...
    @overload
    async def ask(self, question: ListRefusals) -> Joined[RefusalPage]: ...
    @overload
    async def ask(self, question: ListDeliveries) -> Joined[EndpointPage]: ...
    @overload
    async def ask(self, question: SendAgain) -> Joined[SentAgain]: ...

    async def ask(self, question: Question | HostQuestion) -> Joined[Any]:
        """Return the joined reply of all nodes, and the nodes that did not reply within 2 s. Never fails."""
        here: asyncio.Future[tuple[Reply, list[str]]] = self._loop.create_future()
        self._host.ask(question, partial(_take_both, here))
        elsewhere: asyncio.Future[tuple[list[tuple[str, Reply]], list[str]]] = self._loop.create_future()
        if self._others is None:
            elsewhere.set_result(([], []))
        else:
            self._others.ask(question, partial(_take_both, elsewhere))
        own, missing = await here
        replies, missing_elsewhere = await elsewhere
        joined = join(question, [(self.name, own), *replies])
        if isinstance(joined, ChannelPage):
            joined = replace(joined, channels=await self._with_members(question, joined.channels))
        return Joined(joined, missing + missing_elsewhere, next_of(question, joined))

    async def _with_members(self, question: Question | HostQuestion, lines: list[ChannelLine]) -> list[ChannelLine]:
        """Return the lines with the number of members where a channel has any: a user may be on several nodes."""
        names = [line.name for line in lines if kind_of(line.name).is_presence]
        if not names or self._answer is None or not isinstance(question, ListChannels | GetChannel):
            return lines
        counted: asyncio.Future[list[dict[str, Any]]] = self._loop.create_future()

        def take(found: list[dict[str, Any]]) -> None:
            if not counted.done():
                counted.set_result(found)

        self._answer(ChannelQuery(question.app_id, names, ["user_count"]), take)
        try:
            async with asyncio.timeout(_TIME_TO_COUNT):
                found = dict(zip(names, await counted, strict=True))
        except TimeoutError:
            return lines
        return [
            replace(line, members=found[line.name].get("user_count", 0)) if line.name in found else line
            for line in lines
        ]

    def tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> Callable[[], None]:
        """Begin a tail on all nodes; call the result to end it. ``on_lines`` gets the lines as they come."""
        return _RunningTail(start, LimitedLines(on_lines, self._loop.time), self._loop, self._host, self._others).end


def _take_both(future: asyncio.Future[tuple[ReplyT, OtherReplyT]], one: ReplyT, other: OtherReplyT) -> None:
    """Set the result of a future, unless it was cancelled meanwhile."""
    if not future.done():
        future.set_result((one, other))


class _RunningTail:
    """A tail on all nodes, started again every :data:`RENEWAL` seconds until its end."""

    def __init__(
        self,
        start: StartTail,
        on_lines: Callable[[TailLines], None],
        loop: asyncio.AbstractEventLoop,
        host: HostInspection,
        others: OtherHosts | None,
    ) -> None:
        self._start = replace(start, tail_id=os.urandom(8).hex())
        self._on_lines = on_lines
        self._loop = loop
        self._reached: list[HostInspection | OtherHosts] = [host] if others is None else [host, others]
        self._has_ended = False
        self._timer: asyncio.TimerHandle
        self._renew()

    def _renew(self) -> None:
        self._timer = self._loop.call_later(RENEWAL, self._renew)
        for reached in self._reached:
            reached.start_tail(self._start, self._take)

    def _take(self, lines: TailLines) -> None:
        if not self._has_ended:
            self._on_lines(lines)

    def end(self) -> None:
        """End the tail on all nodes, and drop lines that are still under way."""
        if self._has_ended:
            return
        self._has_ended = True
        self._timer.cancel()
        for reached in self._reached:
            reached.stop_tail(self._start.tail_id)

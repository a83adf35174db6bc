"""Joining of the replies of several nodes to one question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Generic, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from soundpost.core.inspection import (
    MAX_PAGE,
    ChannelLine,
    ChannelPage,
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
)
from soundpost.core.paging import number_of_names, smallest
from soundpost.server.inspection.endpoints import join_endpoints

AnyReply = TypeVar("AnyReply", bound=Reply)


class Joined(Struct, Generic[AnyReply]):
    """The reply of all nodes together."""

    reply: AnyReply
    missing: list[str] = field(default_factory=list)
    """Hosts and workers that did not answer in time."""
    next: str | None = None
    """Name or socket id that ``after`` of the next page is to have; None if this page is the last."""


def join(question: Question | HostQuestion, replies: Sequence[tuple[str, Reply]]) -> Reply:
    """Return the replies of several nodes, each given with the node's name, as one.

    A page has the ``limit`` smallest names of all. Those are among the smallest of each node that has them, so their
    numbers are whole.
    """
    if isinstance(question, ListChannels | GetChannel):
        limit = min(question.limit, MAX_PAGE) if isinstance(question, ListChannels) else 1
        return _join_channels(limit, [reply for _, reply in replies if isinstance(reply, ChannelPage)])
    if isinstance(question, ListConnections | GetConnection):
        limit = min(question.limit, MAX_PAGE) if isinstance(question, ListConnections) else 1
        return _join_connections(limit, [(name, reply) for name, reply in replies if isinstance(reply, ConnectionPage)])
    if isinstance(question, ListRefusals):
        refusals = [
            line if line.worker else replace(line, worker=name)
            for name, reply in replies
            if isinstance(reply, RefusalPage)
            for line in reply.refusals
        ]
        refusals.sort(key=attrgetter("at"), reverse=True)
        return RefusalPage(refusals[: min(question.limit, MAX_PAGE)])
    if isinstance(question, ListDeliveries):
        return join_endpoints([reply for _, reply in replies if isinstance(reply, EndpointPage)])
    if isinstance(question, SendAgain):
        return SentAgain(any(isinstance(reply, SentAgain) and reply.found for _, reply in replies))
    return Closed(any(isinstance(reply, Closed) and reply.found for _, reply in replies))


def next_of(question: Question | HostQuestion, reply: Reply) -> str | None:
    """Return the value of ``after`` for the next page; None if the joined page is the last."""
    if isinstance(question, ListChannels) and isinstance(reply, ChannelPage):
        names = [line.name for line in reply.channels]
    elif isinstance(question, ListConnections) and isinstance(reply, ConnectionPage):
        names = [line.socket_id for line in reply.connections]
    else:
        return None
    is_full = len(names) == min(question.limit, MAX_PAGE)
    return names[-1] if is_full and (question.after or len(names) < reply.total) else None


def _join_channels(limit: int, pages: list[ChannelPage]) -> ChannelPage:
    if len(pages) == 1:
        return pages[0]
    found: dict[str, ChannelLine] = {}
    for page in pages:
        for line in page.channels:
            known = found.get(line.name)
            found[line.name] = line if known is None else _added(known, line)
    lines = [found[name] for name in sorted(found)[:limit]]
    sample = smallest(number for page in pages for number in page.sample)
    return ChannelPage(lines, number_of_names(sample), sample)


def _added(one: ChannelLine, other: ChannelLine) -> ChannelLine:
    newest = max(one, other, key=lambda line: line.last_event_at or 0)
    return replace(newest, subscribers=one.subscribers + other.subscribers)


def _join_connections(limit: int, pages: Iterable[tuple[str, ConnectionPage]]) -> ConnectionPage:
    total = 0
    lines = []
    for name, page in pages:
        total += page.total
        lines += [line if line.worker else replace(line, worker=name) for line in page.connections]
    lines.sort(key=attrgetter("socket_id"))
    return ConnectionPage(lines[:limit], total)

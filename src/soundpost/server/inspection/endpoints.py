"""Endpoints of webhooks and their last deliveries: the reply of a host, and the replies of several as one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from soundpost.core.inspection import (
    EndpointLine,
    EndpointPage,
    HostQuestion,
    ListDeliveries,
    Reply,
    SentAgain,
)
from soundpost.server.webhooks import WebhookDispatcher
from soundpost.server.webhooks.endpoint import Endpoint
from soundpost.server.webhooks.recent_deliveries import MAX_DELIVERIES

_ADDED_UP: Final = ("waiting", "sent", "failed", "dropped", "failed_attempts")


def reply_about_webhooks(question: HostQuestion, dispatcher: WebhookDispatcher | None) -> Reply:
    """Return the reply of a host that sends webhooks by ``dispatcher``."""
    endpoints = [] if dispatcher is None else dispatcher.endpoints_of(question.app_id)
    if isinstance(question, ListDeliveries):
        return EndpointPage([_line(number, endpoint) for number, endpoint in enumerate(endpoints)])
    is_there = 0 <= question.number < len(endpoints)
    return SentAgain(is_there and endpoints[question.number].send_again(question.delivery_id))


def _line(number: int, endpoint: Endpoint) -> EndpointLine:
    figures = endpoint.figures()
    return EndpointLine(
        number=number,
        url=figures.url,
        events=list(endpoint.settings.events),
        channels=list(endpoint.settings.channels),
        waiting=figures.waiting,
        sent=figures.sent,
        failed=figures.failed,
        dropped=figures.dropped,
        failed_attempts=figures.failed_attempts,
        last_status=figures.last_status,
        last_error=figures.last_error,
        stopped=figures.stopped,
        retry_at=figures.retry_at,
        recent=endpoint.recent.newest_first(),
    )


def join_endpoints(pages: Sequence[EndpointPage]) -> EndpointPage:
    """Return the endpoints of several hosts as one page: numbers added up, the state of the host that sent last."""
    rows = zip_longest(*(page.endpoints for page in pages))
    return EndpointPage([_joined([line for line in row if line is not None]) for row in rows])


def _joined(lines: list[EndpointLine]) -> EndpointLine:
    latest = max(lines, key=lambda line: line.recent[0].at if line.recent else 0.0)
    recent = sorted((each for line in lines for each in line.recent), key=attrgetter("at"), reverse=True)
    sums = {name: sum(getattr(line, name) for line in lines) for name in _ADDED_UP}
    return replace(latest, recent=recent[:MAX_DELIVERIES], **sums)

"""Several endpoints of one app over Redis: one that is behind keeps nothing from the others, and is bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from conformance.backplane.webhook_hosts import EVENTS, Senders, senders
from soundpost.backplane.redis import webhook_logs
from soundpost.core.app_settings import WebhookSettings

GOOD, DEAD = "http://good.test/", "http://dead.test/"
ROOM: Final = "presence-room"
USERS: Final = 140
ALL: Final = [f"channel_occupied {ROOM}", *(f"member_added {ROOM} {number}" for number in range(USERS))]
MAX_QUEUE: Final = 24_000
"""Bytes for all endpoints of a host: some 60 events."""


@asynccontextmanager
async def sender_to(*urls: str) -> AsyncIterator[Senders]:
    """Run a host that sends to some endpoints."""
    webhooks = tuple(WebhookSettings(url=url, events=EVENTS) for url in urls)
    async with senders(1, webhooks=webhooks, max_presence_members=USERS) as hosts:
        hosts[0].dispatcher._queue_limit._max_size = MAX_QUEUE
        yield hosts


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_logs, "MAX_OPEN", 2_000)
    monkeypatch.setattr(webhook_logs, "_PAGE", 48)


async def users_come(hosts: Senders) -> None:
    for number in range(USERS):
        await hosts.cluster.join(hosts[0].host.stage, ROOM, user=str(number))
        await hosts.settle()


async def assert_dead_is_bounded(hosts: Senders) -> None:
    """Let the dead endpoint take what waits for it: the oldest event, which was in a request, and the newest ones."""
    figures = next(each for each in hosts[0].dispatcher.figures() if each.url == DEAD)
    kept = figures.waiting
    assert 1 < kept < len(ALL) / 2
    assert figures.dropped == len(ALL) - kept
    assert len(await hosts.log()) == kept
    hosts.receiver.statuses.clear()
    assert await hosts.told(60) == [ALL[0], *ALL[1 - kept :]]
    assert await hosts.log() == []


async def test_an_endpoint_gets_all_in_order_while_another_is_away(caplog: pytest.LogCaptureFixture) -> None:
    async with sender_to(GOOD, DEAD) as hosts:
        hosts.receiver.statuses[DEAD] = 503
        await users_come(hosts)
        assert await hosts.told() == ALL
        assert f"{DEAD} is behind: more than max_webhook_queue_size=24000 bytes wait" in caplog.text
        await assert_dead_is_bounded(hosts)


async def test_an_endpoint_that_is_back_gets_all_in_order_while_another_is_away() -> None:
    async with sender_to(GOOD, DEAD) as hosts:
        hosts.receiver.statuses = {GOOD: 503, DEAD: 503}
        await users_come(hosts)
        assert len(await hosts.log()) == len(ALL)
        assert max(each.waiting for each in hosts[0].dispatcher.figures()) < 10
        del hosts.receiver.statuses[GOOD]
        assert await hosts.told(60) == ALL
        await assert_dead_is_bounded(hosts)


@pytest.mark.parametrize("others", [{}, {"http://gone.test/": 410}])
async def test_nothing_is_dropped_while_the_only_endpoint_that_takes_events_is_away(others: dict[str, int]) -> None:
    async with sender_to(DEAD, *others) as hosts:
        hosts.receiver.statuses = {DEAD: 503, **others}
        await users_come(hosts)
        hosts[0].owner.beat()
        assert await hosts.told(60) == []
        assert len(await hosts.log()) == len(ALL)
        assert max(each.waiting for each in hosts[0].dispatcher.figures()) < 10
        del hosts.receiver.statuses[DEAD]
        assert await hosts.told(60) == ALL

"""The figures of all hosts of a cluster, which they state to each other in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from soundpost.backplane.redis.stated_figures import LASTS
from soundpost.config.settings import ScalingSettings, ServerSettings, Settings
from soundpost.core.publishing import publish
from soundpost.server.figures.collector import FiguresCollector
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.metrics.exposition import metrics_text
from soundpost.server.processes.single_process import SingleProcess
from support.harness import DEFAULT_APP
from support.redis_process import RedisServer, running_redis, shared_redis
from support.scraped import Metrics, lint


@pytest.fixture(scope="module")
def redis() -> RedisServer:
    return shared_redis()


@asynccontextmanager
async def running_host(redis: RedisServer, prefix: str) -> AsyncIterator[tuple[SingleProcess, FiguresCollector]]:
    settings = Settings(
        server=ServerSettings(host="127.0.0.1", port=0, shutdown_timeout=1),
        scaling=ScalingSettings(redis=redis.url, prefix=prefix),
        apps=(DEFAULT_APP,),
    )
    daemon = SingleProcess(settings, playground=False, debug=False)
    await daemon.start()
    collector = FiguresCollector(daemon, step=0.02)
    collector.start()
    try:
        yield daemon, collector
    finally:
        await collector.stop()
        await daemon.stop()


async def figures_until(
    take: Callable[[], Awaitable[list[HostFigures]]], agrees: Callable[[list[HostFigures]], bool]
) -> list[HostFigures]:
    async with asyncio.timeout(20):
        while not agrees(found := await take()):  # noqa: ASYNC110 - what another host does
            await asyncio.sleep(0.01)
    return found


async def test_every_host_shows_all_hosts_itself_first(redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(running_host(redis, "all")) for _ in range(3)]
        ports = {daemon.port for daemon, _ in hosts}
        for daemon, collector in hosts:
            found = await figures_until(collector.cluster_figures, lambda found: len(found) == 3)
            assert found[0].port == daemon.port
            assert {each.port for each in found} == ports
            assert found[0].redis is not None
            assert (found[0].redis.state, found[0].redis.reconnects) == ("connected", 0)


async def test_what_happens_on_one_host_is_seen_on_the_other(redis: RedisServer) -> None:
    async with running_host(redis, "seen") as (one, _), running_host(redis, "seen") as (_, other):
        publish(one._server.node.by_id["1"], "news", "e", "{}")
        found = await figures_until(
            other.cluster_figures,
            lambda found: len(found) == 2 and found[1].apps["1"].events == 1,
        )
        assert found[0].apps["1"].events == 0


async def test_a_host_that_stops_is_gone_at_once(redis: RedisServer) -> None:
    async with running_host(redis, "gone") as (_, stays):
        async with running_host(redis, "gone"):
            await figures_until(stays.cluster_figures, lambda found: len(found) == 2)
        await figures_until(stays.cluster_figures, lambda found: len(found) == 1)


async def test_a_host_that_says_nothing_any_more_is_forgotten(redis: RedisServer) -> None:
    async with running_host(redis, "silent") as (_, stays), running_host(redis, "silent") as (_, silent):
        await figures_until(stays.cluster_figures, lambda found: len(found) == 2)
        assert silent._task is not None
        silent._task.cancel()
        client = redis.client()
        for key in client.keys("{silent:nodes}:figures:*"):
            assert 0 < client.ttl(key) <= LASTS
            client.delete(key)
        await figures_until(stays.cluster_figures, lambda found: len(found) == 1)


async def test_what_somebody_else_has_written_there_is_left_out(redis: RedisServer) -> None:
    async with running_host(redis, "foreign") as (_, collector):
        client = redis.client()
        await figures_until(collector.cluster_figures, lambda _: bool(client.exists("{foreign:nodes}:hosts")))
        client.zadd("{foreign:nodes}:hosts", {"stranger": 4e12})
        client.set("{foreign:nodes}:figures:stranger", '{"name": 5}')
        assert len(await collector.cluster_figures()) == 1


async def test_events_that_wait_for_redis_are_counted() -> None:
    with running_redis() as server:
        async with running_host(server, "away") as (daemon, collector):
            server.stop()
            await figures_until(collector.cluster_figures, lambda found: _state(found[0]) == "away")
            publish(daemon._server.node.by_id["1"], "news", "e", "{}")
            (found,) = await collector.cluster_figures()
            assert found.redis is not None
            assert (found.redis.hosts, found.redis.waiting_events) == (0, 1)
            assert found.redis.waiting_bytes > 50
            text = metrics_text(found).decode()
            assert lint(text) == ""
            assert Metrics(text).value("redis_up") == 0


def _state(figures: HostFigures) -> str:
    return "" if figures.redis is None else figures.redis.state

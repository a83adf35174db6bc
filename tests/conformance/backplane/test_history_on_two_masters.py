"""Hosts that are on two masters for a while: one of them is already on the new one, another still on the former."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.backplane.cluster import names
from conformance.backplane.history_hosts import RULES, come_back, hosts, lose_redis, subscribe
from conformance.backplane.redis_cluster import Host, RedisCluster
from conformance.backplane.resuming_pages import GAP
from soundpost.backplane.redis import history
from support.redis_process import RedisServer, running_redis


@pytest.fixture(autouse=True)
def _gaps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "GAP_SPREAD", 0.0)


@pytest.fixture
def promoted() -> Iterator[RedisServer]:
    """The new master, which lacks the last events: all of them."""
    with running_redis() as server:
        yield server


async def move(cluster: RedisCluster, host: Host, server: RedisServer) -> None:
    """Let a host find out that another server is the master."""
    host.relay._target = server.port
    await lose_redis(host)
    await come_back(cluster, host)


async def publish(cluster: RedisCluster, host: Host, *events: str) -> None:
    for event in events:
        host.stage.publish("news", event, "{}")
    await cluster.settle()


async def beat(cluster: RedisCluster, host: Host) -> None:
    host.redis.on_beat()
    await cluster.settle()


async def test_what_the_later_host_gave_to_the_former_master_is_a_gap(promoted: RedisServer) -> None:
    async with hosts() as (cluster, (early, late)):
        at_early = await subscribe(cluster, early.stage, "news")
        at_late = await subscribe(cluster, late.stage, "news")
        at_early.read()
        at_late.read()
        await publish(cluster, late, "a")
        assert names(at_early) == names(at_late) == ["a"]
        await move(cluster, early, promoted)
        assert names(at_early) == [GAP]
        await publish(cluster, late, "b")
        assert (names(at_early), names(at_late)) == ([], ["b"])
        await move(cluster, late, promoted)
        assert names(at_late) == [GAP]
        await beat(cluster, early)
        assert names(at_early) == [GAP]
        await publish(cluster, early, "c")
        await publish(cluster, late, "d")
        assert names(at_early) == names(at_late) == ["c", "d"]


async def test_a_later_host_that_has_given_nothing_meanwhile_makes_no_gap(promoted: RedisServer) -> None:
    async with hosts(RULES, RULES) as (cluster, (early, late)):
        at_early = await subscribe(cluster, early.stage, "news")
        at_late = await subscribe(cluster, late.stage, "news")
        at_early.read()
        at_late.read()
        await publish(cluster, late, "a")
        assert names(at_early) == names(at_late) == ["a"]
        await move(cluster, early, promoted)
        assert names(at_early) == [GAP]
        await publish(cluster, early, "b")
        assert names(at_early) == ["b"]
        await move(cluster, late, promoted)
        assert names(at_late) == [GAP, "b"]
        await beat(cluster, early)
        assert names(at_early) == []

"""Numbers of subscribers that change while Redis is away, or that Redis loses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from conformance.backplane.cluster import Setup, leave
from conformance.backplane.redis_cluster import Host, RedisCluster, redis_cluster
from conformance.backplane.test_counts_over_nodes import AT_ONCE, counts
from conformance.backplane.test_graces_over_redis import lose_redis
from conformance.backplane.test_late_statements import keys_of
from conformance.protocol.stage import APP, Client


@asynccontextmanager
async def two_hosts() -> AsyncIterator[tuple[RedisCluster, Client, Client, Host]]:
    """Run two hosts, each with a client on "room", of which the second loses Redis."""
    app = msgspec.structs.replace(APP, subscription_count=True)
    async with redis_cluster(Setup([app], 2, None, None)) as cluster:
        assert isinstance(cluster, RedisCluster)
        far, near = [await cluster.join(node, "room") for node in cluster.nodes]
        assert counts(far) == [2]
        yield cluster, far, near, cluster._hosts[cluster.nodes[1]]


async def last_counts(cluster: RedisCluster, *clients: Client) -> list[list[int]]:
    """Return the last count that each client got since the last read, if it got one."""
    await cluster.settle()
    return [counts(client)[-1:] for client in clients]


async def test_a_count_that_changed_without_redis_is_told_when_redis_is_back() -> None:
    async with two_hosts() as (cluster, far, near, host):
        await lose_redis(host)
        host.stage.connect().ask("room")
        await host.flows()
        await cluster.settle()
        assert (counts(far), counts(near)) == ([3], [3])


async def test_a_count_that_is_the_same_when_redis_is_back_is_not_told() -> None:
    async with two_hosts() as (cluster, far, near, host):
        await lose_redis(host)
        await host.flows()
        assert await last_counts(cluster, far, near) == [[], []]


async def test_a_channel_that_was_left_without_redis_is_counted_when_redis_is_back() -> None:
    async with two_hosts() as (cluster, far, near, host):
        await lose_redis(host)
        leave(near, "room")
        await host.flows()
        assert await last_counts(cluster, far) == [[1]]


async def empty_redis(cluster: RedisCluster) -> None:
    """Delete all that Redis has of two hosts, and cut them off."""
    hosts = [cluster._hosts[node] for node in cluster.nodes]
    for key in await keys_of(hosts[0].redis):
        await hosts[0].redis.ask(b"nodes", "DEL", key)
    for host in hosts:
        await lose_redis(host)


async def test_counts_that_redis_has_lost_are_told_once_all_hosts_have_stated_theirs() -> None:
    async with two_hosts() as (cluster, far, near, host):
        await empty_redis(cluster)
        leave(near, "room")
        for each in (cluster._hosts[cluster.nodes[0]], host):
            await each.flows()
        assert await last_counts(cluster, far) == [[1]]


async def test_large_counts_that_redis_has_lost_are_told_some_seconds_later() -> None:
    async with two_hosts() as (cluster, far, near, host):
        crowd = [host.stage.connect() for _ in range(AT_ONCE)]
        for client in crowd:
            client.ask("room")
        await cluster.settle()
        await cluster.pass_seconds()
        await last_counts(cluster, far, near)
        await empty_redis(cluster)
        leave(far, "room")
        for each in (cluster._hosts[cluster.nodes[0]], host):
            await each.flows()
        assert await last_counts(cluster, near) == [[]]
        await cluster.pass_seconds()
        assert await last_counts(cluster, near) == [[AT_ONCE + 1]]

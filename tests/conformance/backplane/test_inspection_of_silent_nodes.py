"""Nodes that do not answer what operators ask: the others' replies come all the same."""

from __future__ import annotations

import asyncio

import pytest

from conformance.backplane.cluster import Cluster, Start
from conformance.backplane.redis_cluster import RedisCluster, redis_cluster
from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.topic_messages import inspect, inspected, tailed
from soundpost.core.inspection import ListChannels, ListRefusals, StartTail, TailLine

over_redis = pytest.mark.parametrize("run_cluster", [redis_cluster], ids=["redis"])


async def test_a_node_that_does_not_reply_is_missing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.server.inspection.host_inspection.TIME_TO_REPLY", 0.1)
    monkeypatch.setattr("soundpost.backplane.redis.inspection.TIME_TO_REPLY", 0.2)
    cluster = await start(nodes=3)
    for node in cluster.nodes:
        await cluster.join(node, "room")
    await cluster.inspect(cluster.nodes[0], ListChannels(app_id="1"))  # hosts get to know one another

    cluster.hold(cluster.nodes[1])
    reply = asyncio.ensure_future(cluster.inspector(cluster.nodes[0]).ask(ListChannels(app_id="1")))
    await asyncio.sleep(0)
    await cluster.settle()
    found = await reply

    assert found.missing == ["node 2"]
    assert [line.subscribers for line in found.reply.channels] == [2]


@over_redis
async def test_without_redis_this_host_answers_alone_and_says_so(cluster: Cluster) -> None:
    for node in cluster.nodes:
        await cluster.join(node, "room")
    assert isinstance(cluster, RedisCluster)
    host = cluster._hosts[cluster.nodes[0]]
    host.task.cancel()
    host.redis.drop()

    asking = asyncio.ensure_future(cluster.inspector(cluster.nodes[0]).ask(ListChannels(app_id="1")))
    await asyncio.sleep(0)
    cluster.nodes[0].turn()
    found = await asking

    assert found.missing == ["all other hosts: Redis is away"]
    assert [line.subscribers for line in found.reply.channels] == [1]


@over_redis
async def test_a_host_that_comes_back_to_redis_gets_replies_again(cluster: Cluster) -> None:
    assert isinstance(cluster, RedisCluster)
    first = cluster.nodes[0]
    assert (await cluster.inspect(first, ListRefusals())).missing == []
    host = cluster._hosts[first]

    host.redis.reconnect("as a test wants it")
    async with asyncio.timeout(20):
        while host.registry.reaches_all:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0.002)
        await host.flows()
    for node in cluster.nodes:
        await cluster.join(node, "room")
    found = await cluster.inspect(first, ListChannels(app_id="1"))

    assert [line.subscribers for line in found.reply.channels] == [3]


FOREIGN = [
    inspect(b"somebody", 1, b'{"type":"DeleteEverything"}'),
    inspect(b"somebody", 1, b"no JSON"),
    inspected(b"somebody", 1, b"{}"),
    tailed(b"[]"),
    inspect(b"\xff", 1, b'{"type":"ListRefusals","limit":-5}'),
]


@over_redis
@pytest.mark.parametrize("message", FOREIGN, ids=range(len(FOREIGN)))
async def test_what_anybody_publishes_in_redis_does_no_harm(cluster: Cluster, message: bytes) -> None:
    assert isinstance(cluster, RedisCluster)
    host = cluster._hosts[cluster.nodes[0]]
    await cluster.join(cluster.nodes[1], "room")

    await host.redis.ask(CONTROL, "PUBLISH", host.redis.topic(CONTROL, ""), message)
    await cluster.settle()
    found = await cluster.inspect(cluster.nodes[0], ListChannels(app_id="1"))

    assert (found.missing, [line.subscribers for line in found.reply.channels]) == ([], [1])


async def test_a_node_that_comes_later_takes_part_in_a_tail(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.server.inspection.inspector.RENEWAL", 0.02)
    cluster = await start(nodes=2)
    lines: list[TailLine] = []
    tail = StartTail(app_id="1", channel="room")
    end = cluster.inspector(cluster.nodes[0]).tail(tail, lambda more: lines.extend(more.lines))

    late = await cluster.add()
    await cluster.join(late, "room")
    async with asyncio.timeout(20):
        while not late.node.observers:
            await asyncio.sleep(0.005)
            await cluster.settle()
    late.publish("room", "heard")
    await cluster.settle()
    late.wait(0.3)
    await cluster.settle()

    assert [line.event for line in lines if line.what == "broadcast"] == ["heard"]
    end()

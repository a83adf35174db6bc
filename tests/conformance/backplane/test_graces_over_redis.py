"""Graces of members while Redis is away, and what is left of them in Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from conformance.backplane.cluster import REMOVED, Setup, names
from conformance.backplane.redis_cluster import Host, RedisCluster, redis_cluster
from conformance.backplane.test_late_statements import keys_of
from conformance.protocol.stage import APP, Client, Stage, members_of
from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.redis.bucket_commands import ignore_answer
from soundpost.backplane.redis.buckets import CONTROL, bucket_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.grace_scripts import LINGER
from soundpost.core.member import Member
from soundpost.core.peers import UsersQuery
from soundpost.wire import codes
from support.standing_still import stand_still

ROOM = "presence-room"


@asynccontextmanager
async def two_hosts(presence_grace: float = 30) -> AsyncIterator[tuple[RedisCluster, Stage, Host]]:
    """Run two hosts; the first stays, the second loses Redis."""
    app = msgspec.structs.replace(APP, presence_grace=presence_grace)
    async with redis_cluster(Setup([app], 2, None, None)) as cluster:
        assert isinstance(cluster, RedisCluster)
        first, second = cluster.nodes
        yield cluster, first, cluster._hosts[second]


async def lose_redis(host: Host) -> None:
    """Cut a host's connection to Redis."""
    host.relay.cut()
    while host.redis.up:  # noqa: ASYNC110 - the test's own wait
        await asyncio.sleep(0)


async def removed_in_the_end(cluster: RedisCluster, watcher: Client) -> list[str]:
    """Wait until a client is told something."""
    found: list[str] = []
    while not found:
        await asyncio.sleep(0.01)
        await cluster.settle()
        found = names(watcher)
    return found


async def test_who_is_lost_while_redis_is_away_stays_for_the_grace() -> None:
    async with two_hosts() as (cluster, first, host):
        watcher = await cluster.join(first, ROOM, user="watcher")
        near = await cluster.join(host.stage, ROOM, user="near")
        ann = await cluster.join(host.stage, ROOM, user="ann")
        for client in (watcher, near):
            client.read()

        await lose_redis(host)
        ann.vanish()
        assert near.read() == []
        await host.flows()
        await cluster.settle()

        assert near.read() == watcher.read() == []
        assert len(await cluster.ask(first, UsersQuery("1", ROOM))) == 3
        back = await cluster.join(first, ROOM, user="ann")
        assert watcher.read() == []
        back.vanish()
        await cluster.settle()
        assert watcher.read() == []


async def test_who_is_lost_in_the_moment_in_which_redis_goes_away_stays_for_the_grace() -> None:
    async with two_hosts() as (cluster, first, host):
        watcher = await cluster.join(first, ROOM, user="watcher")
        near = await cluster.join(host.stage, ROOM, user="near")
        ann = await cluster.join(host.stage, ROOM, user="ann")
        for client in (watcher, near):
            client.read()

        host.relay.hold()
        ann.vanish()
        host.stage.turn()
        host.relay.forget()
        await lose_redis(host)
        await host.flows()
        await cluster.settle()

        assert near.read() == watcher.read() == []
        assert len(await cluster.ask(first, UsersQuery("1", ROOM))) == 3


async def test_a_host_is_back_only_once_it_knows_what_redis_has_not_answered() -> None:
    async with two_hosts() as (cluster, first, host):
        await cluster.join(host.stage, ROOM, user="near")
        ann = await cluster.join(host.stage, ROOM, user="ann")

        host.relay.hold()
        for _ in range(20_000):
            host.redis.send(CONTROL, ("PING",), ignore_answer)
        ann.vanish()
        host.stage.turn()
        host.relay.forget()
        for connection in host.redis._connections.connections:
            connection._clock = itertools.count().__next__  # a command takes a whole turn
        host.redis.reconnect("the test wants it")
        while host.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        await host.flows()
        await cluster.settle()

        assert len(await cluster.ask(first, UsersQuery("1", ROOM))) == 2


async def test_who_has_left_while_redis_was_away_does_not_come_back_for_a_moment() -> None:
    async with two_hosts(presence_grace=0) as (cluster, first, host):
        watcher = await cluster.join(first, ROOM, user="watcher")
        near = await cluster.join(host.stage, ROOM, user="near")
        ann = await cluster.join(host.stage, ROOM, user="ann")
        for client in (watcher, near):
            client.read()

        await lose_redis(host)
        host.redis.known = 0
        ann.vanish()
        assert names(near) == [REMOVED]
        await host.flows()
        await cluster.settle()

        assert (names(watcher), names(near)) == ([REMOVED], [])


@pytest.mark.interpreted
async def test_a_grace_that_began_without_redis_ends_once() -> None:
    async with two_hosts(presence_grace=0.2) as (cluster, first, host):
        watcher = await cluster.join(first, ROOM, user="watcher")
        near = await cluster.join(host.stage, ROOM, user="near")
        ann = await cluster.join(host.stage, ROOM, user="ann")
        for client in (watcher, near):
            client.read()

        await lose_redis(host)
        ann.vanish()
        host.stage.turn()
        await host.flows()

        assert await removed_in_the_end(cluster, watcher) == [REMOVED]
        assert (names(watcher), names(near)) == ([], [REMOVED])
        assert len(await cluster.ask(first, UsersQuery("1", ROOM))) == 2


async def test_a_host_that_stands_still_while_it_stops_takes_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_hosts() as (cluster, first, host):
        await cluster.join(host.stage, ROOM, user="ann")
        redis, node = cluster._hosts[first].redis, host.redis.node

        stopped = asyncio.ensure_future(cluster.retire(host.stage))
        await asyncio.sleep(0)
        stand_still(monkeypatch, host.redis.command_timeout)
        await stopped

        nodes = redis.tag(CONTROL) + b":nodes"
        assert await redis.ask(CONTROL, "ZSCORE", nodes, node) is None
        assert len(await cluster.ask(first, UsersQuery("1", ROOM))) == 1, "ann has her grace"


async def test_nothing_of_a_grace_stays_in_redis() -> None:
    async with two_hosts() as (cluster, first, host):
        redis = cluster._hosts[first].redis
        for code in (codes.GENERIC_RECONNECT, codes.UNAUTHORIZED):  # with a grace, and without
            (await cluster.join(host.stage, ROOM, user="ann")).end(code, "")
            await cluster.settle()
        before = sorted(await keys_of(redis))

        (await cluster.join(host.stage, ROOM, user="ann")).end(codes.GENERIC_RECONNECT, "")
        await cluster.settle()
        assert sorted(await keys_of(redis)) != before
        await cluster.end_graces()
        await cluster.settle()

        left = [key for key in await keys_of(redis) if b"lingering" not in key]
        assert [key for key in left if b"nodes" not in key and not key.endswith(b":connections")] == []


@pytest.mark.interpreted
async def test_a_grace_ends_in_time_by_a_host_that_has_heard_of_it_in_redis_only() -> None:
    async with two_hosts(presence_grace=0.1) as (cluster, first, host):
        watcher = await cluster.join(first, ROOM, user="watcher")
        ann = await cluster.join(host.stage, ROOM, user="ann")
        watcher.read()

        ann.vanish()
        host.stage.turn()
        await cluster.retire(host.stage)
        assert await removed_in_the_end(cluster, watcher) == [REMOVED]


async def test_a_grace_that_nobody_noted_ends_too() -> None:
    """Its host has died in between."""
    async with two_hosts() as (cluster, first, host):
        watcher = await cluster.join(first, ROOM, user="watcher")
        await cluster.join(host.stage, ROOM, user="ann")
        watcher.read()
        bucket = bucket_of("1", ROOM)

        await host.redis.ask_script(LINGER, bucket, ROOM, "ann", 0, 1)
        await cluster._hosts[first].redis.graces.sweep()
        await cluster.settle()
        assert watcher.read() == []
        await cluster._hosts[first].redis.graces.sweep([bucket])
        await cluster.settle()
        assert names(watcher) == [REMOVED]


def test_a_new_info_that_was_missed_is_taken_with_the_whole_list() -> None:
    channel = SharedChannel("1", ROOM, b"1:1", b"topic", Occupancy())
    assert len([*channel.replacing_members([Member("ann", b'"old"'), Member("bob", b"null")])]) > 0
    stage = Stage()
    watcher = stage.connect().join(ROOM, user="watcher")
    channel.add(stage.node, None)

    assert len([*channel.replacing_members([Member("ann", b'"new"'), Member("bob", b"null")])]) > 0

    presence = channel.snapshot(0).presence
    assert presence is not None
    assert b"new" in presence
    assert watcher.read() == []


async def test_the_list_of_the_host_to_which_a_user_comes_back_has_the_new_info() -> None:
    async with two_hosts() as (cluster, _, host):
        await cluster.join(host.stage, ROOM, user="near")
        ann = await cluster.join(host.stage, ROOM, user="ann", info="old")
        ann.vanish()
        await cluster.settle()

        client = await cluster.connect(host.stage)
        client.ask(ROOM, {"user_id": "ann", "user_info": "new"})
        await cluster.settle()

        assert members_of(client.read())["hash"]["ann"] == "new"

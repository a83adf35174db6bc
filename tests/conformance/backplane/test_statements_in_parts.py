"""A host that is back at Redis states the members of a large channel in parts: nobody seems gone in between."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from conformance.backplane.cluster import ADDED, REMOVED, Setup, leave, names
from conformance.backplane.redis_cluster import Host, RedisCluster, redis_cluster
from conformance.protocol.stage import APP, Client
from soundpost.backplane.redis import member_statements
from soundpost.backplane.redis.scripts import Script
from soundpost.backplane.redis.subscription_scripts import LEAVE_SOME, SYNC, SYNC_REST
from soundpost.core.peers import UsersQuery

ROOM = "presence-room"
MEMBERS = 12


@asynccontextmanager
async def stating_in_parts(
    monkeypatch: pytest.MonkeyPatch, presence_grace: float = 0
) -> AsyncIterator[tuple[RedisCluster, Host, Client, list[Client]]]:
    """Two hosts, a watcher on the first, and members on the second, which has just begun to state them anew."""
    async with large_channel(monkeypatch, presence_grace) as (cluster, host, watcher, members):
        host.relay.cut()
        while not host.registry._channels._statements._left:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        yield cluster, host, watcher, members


@asynccontextmanager
async def large_channel(
    monkeypatch: pytest.MonkeyPatch, presence_grace: float = 0
) -> AsyncIterator[tuple[RedisCluster, Host, Client, list[Client]]]:
    """Two hosts, a watcher on the first, and more members on the second than it states at once."""
    app = msgspec.structs.replace(APP, presence_grace=presence_grace)
    async with redis_cluster(Setup([app], 2, None, None)) as cluster:
        assert isinstance(cluster, RedisCluster)
        first, second = cluster.nodes
        host = cluster._hosts[second]
        watcher = await cluster.join(first, ROOM, user="watcher")
        members = [await cluster.join(second, ROOM, user=f"user-{number}") for number in range(MEMBERS)]
        for client in (watcher, *members):
            client.read()
        monkeypatch.setattr(member_statements, "MEMBERS_AT_ONCE", 2)
        host.registry._channels.turn_clock = itertools.count().__next__  # a part takes a whole turn
        yield cluster, host, watcher, members


async def back(cluster: RedisCluster, host: Host) -> None:
    """Wait until a host has stated everything."""
    await host.flows()
    assert not host.registry._channels._statements._left
    await cluster.settle()


def noted_scripts(monkeypatch: pytest.MonkeyPatch, host: Host) -> list[Script]:
    """Return a list to which each script that the host runs from now on is added."""
    scripts: list[Script] = []
    run = host.redis.run

    def noted(script: Script, bucket: bytes, *arguments: Any, then: Callable[[Any], None]) -> None:
        scripts.append(script)
        run(script, bucket, *arguments, then=then)

    monkeypatch.setattr(host.redis, "run", noted)
    return scripts


async def lose_all_but_one(host: Host, members: list[Client]) -> None:
    """Cut a host off Redis, and let all members but the first leave meanwhile."""
    host.relay.cut()
    while host.redis.up:  # noqa: ASYNC110 - the test's own wait
        await asyncio.sleep(0)
    for member in members[1:]:
        leave(member, ROOM)


async def present(cluster: RedisCluster, host: Host) -> set[str]:
    return {json.loads(user) for user in await cluster.ask(host.stage, UsersQuery("1", ROOM))}


@pytest.mark.interpreted
async def test_nobody_is_told_of_members_who_are_stated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stating_in_parts(monkeypatch) as (cluster, host, watcher, members):
        await back(cluster, host)

        assert (watcher.read(), members[0].read()) == ([], [])
        assert await present(cluster, host) == {"watcher", *(f"user-{number}" for number in range(MEMBERS))}


@pytest.mark.interpreted
async def test_the_former_node_s_members_leave_in_parts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stating_in_parts(monkeypatch) as (cluster, host, watcher, _):
        scripts = noted_scripts(monkeypatch, host)
        await back(cluster, host)

        of_former = [script for script in scripts if script in (LEAVE_SOME, SYNC_REST)]
        assert of_former == [*[LEAVE_SOME] * (MEMBERS // 2 + 1), SYNC_REST]
        assert watcher.read() == []


@pytest.mark.interpreted
async def test_who_comes_and_goes_meanwhile_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stating_in_parts(monkeypatch) as (cluster, host, watcher, members):
        leave(members[0], ROOM)
        leave(members[-1], ROOM)
        newcomer = await cluster.connect(host.stage)
        newcomer.ask(ROOM, {"user_id": "newcomer"})
        host.stage.turn()
        await back(cluster, host)

        assert sorted(names(watcher)) == sorted([ADDED, REMOVED, REMOVED])
        assert await present(cluster, host) == {"watcher", "newcomer"} | {
            f"user-{number}" for number in range(1, MEMBERS - 1)
        }


@pytest.mark.interpreted
async def test_who_is_lost_before_being_stated_stays_for_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stating_in_parts(monkeypatch, presence_grace=30) as (cluster, host, watcher, members):
        members[0].vanish()
        members[-1].vanish()
        host.stage.turn()
        await back(cluster, host)

        assert watcher.read() == []
        assert len(await present(cluster, host)) == MEMBERS + 1
        await cluster.end_graces()
        await cluster.settle()
        assert names(watcher) == [REMOVED, REMOVED]


@pytest.mark.interpreted
async def test_redis_that_is_lost_between_two_parts_is_told_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stating_in_parts(monkeypatch) as (cluster, host, watcher, _):
        node = host.redis.node
        host.relay.cut()
        while host.redis.node == node:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        await back(cluster, host)

        assert watcher.read() == []
        assert len(await present(cluster, host)) == MEMBERS + 1


@pytest.mark.interpreted
async def test_a_channel_that_is_left_and_subscribed_again_meanwhile_is_stated_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stating_in_parts(monkeypatch) as (cluster, host, watcher, members):
        for member in members:
            leave(member, ROOM)
        assert ROOM not in host.registry._apps["1"].channels
        members[0].ask(ROOM, {"user_id": "user-0"})
        host.stage.turn()
        await back(cluster, host)
        while len(await present(cluster, host)) > 2:  # the former node is removed in the background
            await cluster.settle()

        assert names(watcher) == [*[REMOVED] * MEMBERS, ADDED]
        assert host.redis.connects == 2


@pytest.mark.interpreted
async def test_a_host_that_is_back_with_few_members_has_the_others_removed_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with large_channel(monkeypatch) as (cluster, host, watcher, members):
        scripts = noted_scripts(monkeypatch, host)
        await lose_all_but_one(host, members)
        await back(cluster, host)

        statements = [script for script in scripts if script in (SYNC, LEAVE_SOME, SYNC_REST)]
        assert statements == [SYNC, *[LEAVE_SOME] * (MEMBERS // 2 + 1), SYNC_REST]
        assert names(watcher) == [REMOVED] * (MEMBERS - 1)
        assert await present(cluster, host) == {"watcher", "user-0"}


@pytest.mark.interpreted
async def test_who_has_left_and_come_back_on_another_host_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async with large_channel(monkeypatch) as (cluster, host, watcher, members):
        first = cluster.nodes[0]
        elsewhere = [await cluster.connect(first) for _ in range(3)]
        await lose_all_but_one(host, members)
        for number, client in enumerate(elsewhere, 1):
            client.ask(ROOM, {"user_id": f"user-{number}"})
        first.turn()
        await cluster._hosts[first].ping()
        await back(cluster, host)

        assert names(watcher) == [REMOVED] * (MEMBERS - 4)
        assert await present(cluster, host) == {"watcher", *(f"user-{number}" for number in range(4))}


@pytest.mark.interpreted
async def test_redis_that_is_lost_while_the_others_are_removed_is_told_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with large_channel(monkeypatch) as (cluster, host, watcher, members):
        scripts = noted_scripts(monkeypatch, host)
        await lose_all_but_one(host, members)
        while scripts.count(LEAVE_SOME) < 2:
            assert not host.registry.reaches_all, "stated at once"
            await asyncio.sleep(0)
        host.relay.cut()
        while host.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        await back(cluster, host)
        while len(await present(cluster, host)) > 2:  # the first node is removed in the background
            await cluster.settle()

        assert names(watcher) == [REMOVED] * (MEMBERS - 1)
        assert await present(cluster, host) == {"watcher", "user-0"}
        assert host.redis.connects == 3

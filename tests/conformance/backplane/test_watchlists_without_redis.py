"""Watchlists while Redis is away, emptied, or back; and what is left of signed-in users in Redis."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from conformance.backplane.redis_cluster import RedisCluster
from conformance.backplane.test_graces_over_redis import lose_redis, removed_in_the_end, two_hosts
from conformance.backplane.test_late_statements import keys_of
from conformance.backplane.test_watchlists_over_nodes import sign_in, told
from conformance.protocol.stage import Client
from soundpost.wire import codes

ONLINE = [("online", ["ann"])]
OFFLINE = [("offline", ["ann"])]


async def watchers(cluster: RedisCluster) -> list[Client]:
    """Return a client on each of two hosts that has read that ann is offline."""
    found = [await sign_in(cluster, node, "me", "ann") for node in cluster.nodes]
    assert [await told(cluster, client) for client in found] == [OFFLINE] * 2
    return found


async def test_without_redis_a_host_knows_its_own_users() -> None:
    async with two_hosts(presence_grace=0) as (cluster, first, host):
        far, near = await watchers(cluster)
        bob = await sign_in(cluster, first, "bob")
        watcher = await sign_in(cluster, host.stage, "me", "bob")
        assert await told(cluster, watcher) == [("online", ["bob"])]

        await lose_redis(host)
        host.redis.known = 0
        ann, late = host.stage.connect(), host.stage.connect()
        ann.sign_in({"id": "ann"})
        late.sign_in({"id": "late", "watchlist": ["ann", "carl"]})
        assert [name for name, _ in near.events()] == ["pusher_internal:watchlist_events"]
        assert [message["data"]["events"] for message in late.read()[1:]] == [
            [{"name": "online", "user_ids": ["ann"]}, {"name": "offline", "user_ids": ["carl"]}]
        ]
        assert near.read() == watcher.read() == []

        await host.flows()
        assert (await told(cluster, far), await told(cluster, near)) == (ONLINE, [])
        assert await told(cluster, watcher) == []
        bob.vanish()
        assert await told(cluster, watcher) == [("offline", ["bob"])]


async def test_a_user_who_signs_in_while_the_host_connects_to_redis_is_online_everywhere() -> None:
    async with two_hosts(presence_grace=0) as (cluster, _, host):
        far, near = await watchers(cluster)
        await lose_redis(host)
        host.redis.known = 0
        while not host.redis.is_connecting or host.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        ann = host.stage.connect()
        ann.sign_in({"id": "ann"})
        assert not host.redis.up
        assert [name for name, _ in near.events()] == ["pusher_internal:watchlist_events"]

        await host.flows()
        assert (await told(cluster, far), await told(cluster, near)) == (ONLINE, [])
        ann.vanish()
        assert [await told(cluster, client) for client in (far, near)] == [OFFLINE] * 2


async def test_changes_of_watched_users_come_before_all_hosts_have_stated_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_hosts(presence_grace=0) as (cluster, first, host):
        ann = await sign_in(cluster, first, "ann")
        near = await sign_in(cluster, host.stage, "me", "ann")
        assert await told(cluster, near) == ONLINE
        monkeypatch.setattr(host.registry._users, "on_flow", lambda: None)  # as if another host took long
        await lose_redis(host)
        host.redis.known = 0
        await host.flows()
        ann.vanish()
        assert await told(cluster, near) == OFFLINE


async def test_who_has_gone_while_redis_was_away_does_not_come_back_for_a_moment() -> None:
    async with two_hosts(presence_grace=0) as (cluster, _, host):
        far, near = await watchers(cluster)
        ann = await sign_in(cluster, host.stage, "ann")
        assert [await told(cluster, client) for client in (far, near)] == [ONLINE] * 2

        await lose_redis(host)
        host.redis.known = 0
        ann.vanish()
        host.stage.turn()
        assert [name for name, _ in near.events()] == ["pusher_internal:watchlist_events"]
        await host.flows()

        assert (await told(cluster, far), await told(cluster, near)) == (OFFLINE, [])


async def test_a_user_who_is_lost_while_redis_is_away_stays_for_the_grace() -> None:
    async with two_hosts() as (cluster, first, host):
        far, near = await watchers(cluster)
        ann = await sign_in(cluster, host.stage, "ann")
        for client in (far, near):
            await told(cluster, client)

        await lose_redis(host)
        host.redis.known = 0
        ann.vanish()
        await host.flows()
        assert [await told(cluster, client) for client in (far, near)] == [[], []]
        await sign_in(cluster, first, "ann")
        assert [await told(cluster, client) for client in (far, near)] == [[], []]


async def test_users_are_stated_one_after_the_other_and_who_is_lost_before_stays_for_the_grace() -> None:
    async with two_hosts() as (cluster, _, host):
        far, _ = await watchers(cluster)
        names = [*(f"user-{number}" for number in range(20)), "ann"]
        clients = {name: await sign_in(cluster, host.stage, name) for name in names}
        assert await told(cluster, far) == ONLINE

        def unstated() -> set[str]:
            if not host.redis.up or host.redis.is_connecting:
                return {user_id for _, user_id in here}
            return {user_id for (_, user_id), user in here.items() if user.stated_by != host.redis.node}

        users = host.registry._users
        here, users.turn_clock = users._here, itertools.count().__next__  # a statement takes a whole turn
        await lose_redis(host)
        host.redis.known = 0
        numbers, left = [], len(unstated())
        while left > 10:
            await asyncio.sleep(0)
            numbers.append(left - len(unstated()))
            left -= numbers[-1]
        assert max(numbers) == 1
        lost = next(name for name in names if name in unstated())
        clients[lost].vanish()
        host.stage.turn()
        assert lost not in unstated()
        await host.flows()
        await asyncio.gather(*host.redis.leases._tasks)
        assert await told(cluster, far) == []


@pytest.mark.interpreted
async def test_a_grace_that_began_without_redis_ends_once() -> None:
    async with two_hosts(presence_grace=0.2) as (cluster, _, host):
        far, near = await watchers(cluster)
        ann = await sign_in(cluster, host.stage, "ann")
        for client in (far, near):
            await told(cluster, client)

        await lose_redis(host)
        host.redis.known = 0
        ann.vanish()
        host.stage.turn()
        await host.flows()

        assert await removed_in_the_end(cluster, far) == ["pusher_internal:watchlist_events"]
        assert await told(cluster, near) == OFFLINE
        assert await told(cluster, far) == []


async def test_nobody_is_told_anything_when_redis_is_emptied() -> None:
    async with two_hosts(presence_grace=0) as (cluster, first, host):
        far, near = await watchers(cluster)
        for node in (first, host.stage):
            await sign_in(cluster, node, "ann")
        bob = await sign_in(cluster, first, "bob")
        watcher = await sign_in(cluster, host.stage, "me", "bob")
        for client in (far, near, watcher):
            await told(cluster, client)

        for key in await keys_of(host.redis):
            await host.redis.ask(b"nodes", "DEL", key)
        other = cluster._hosts[first]
        await lose_redis(other)
        other.relay.hold()  # it comes back later
        await lose_redis(host)
        while not host.redis.up or host.redis.is_connecting:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        await host.redis.ask(b"nodes", "PING")
        assert watcher.read() == []
        other.relay.release()
        for each in (other, host):
            await each.flows()

        assert [await told(cluster, client) for client in (far, near, watcher)] == [[], [], []]
        bob.vanish()
        assert await told(cluster, watcher) == [("offline", ["bob"])]


async def test_nothing_of_a_user_stays_in_redis() -> None:
    async with two_hosts() as (cluster, first, host):
        redis = cluster._hosts[first].redis
        for code in (codes.GENERIC_RECONNECT, codes.UNAUTHORIZED):  # with a grace, and without
            (await sign_in(cluster, host.stage, "ann", "bob")).end(code, "")
            await cluster.settle()
        before = sorted(await keys_of(redis))
        (await sign_in(cluster, host.stage, "ann", "bob")).end(codes.GENERIC_RECONNECT, "")
        await cluster.settle()
        assert sorted(await keys_of(redis)) != before
        await cluster.end_graces()
        await cluster.settle()
        assert [key for key in await keys_of(redis) if b"signed" in key or b"online" in key or b"away" in key] == []

"""Commands that a dead host had sent to Redis may run after its removal: nothing of them stays."""

from __future__ import annotations

from typing import Any, Final

import hiredis
import pytest

from conformance.backplane.cluster import Setup
from conformance.backplane.redis_cluster import RedisCluster, redis_cluster
from conformance.protocol.stage import APP
from soundpost.backplane.redis.buckets import app_bucket, bucket_of
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.scripts import Script
from soundpost.backplane.redis.subscription_scripts import COUNT, ENTER, SYNC
from soundpost.core.peers import ChannelsQuery, UsersQuery

ROOM: Final = "presence-room"
BUCKET: Final = bucket_of(APP.id, ROOM)
SETUP: Final = Setup([APP], 2, None, None)
LATE: Final[dict[str, list[tuple[Script, tuple[Any, ...]]]]] = {
    "a count": [(COUNT, ("0", ROOM, 3))],
    "a channel with its members": [(SYNC, ("0", ROOM, 1, "", 200, "late", '{"user_id":"late"}'))],
    "a channel and a member": [(SYNC, ("0", ROOM, 1, "", 200)), (ENTER, (ROOM, "late", '{"user_id":"late"}', 100))],
}


async def keys_of(redis: Redis) -> list[bytes]:
    found: list[bytes] = await redis.ask(b"nodes", "KEYS", b"*" + redis._prefix + b"*")
    return found


async def lose_one(cluster: RedisCluster) -> tuple[Redis, bytes]:
    """Let one of two hosts die with a member; return the other host and the id of the dead node."""
    stays, dies = cluster.nodes
    await cluster.join(dies, ROOM, user="ann")
    dead = cluster._hosts[dies].redis.node
    await cluster.lose(dies)
    return cluster._hosts[stays].redis, dead


@pytest.mark.parametrize("name", LATE)
async def test_what_a_dead_host_stated_late_is_taken_out(name: str) -> None:
    async with redis_cluster(SETUP) as cluster:
        assert isinstance(cluster, RedisCluster)
        redis, dead = await lose_one(cluster)
        before = sorted(await keys_of(redis))

        # The removal found something, so the host was among the expired for another lease.
        await redis.ask(b"nodes", "SADD", redis.tag(b"nodes") + b":buckets:" + dead, BUCKET, app_bucket("1"))
        for script, arguments in LATE[name]:
            await redis.ask_script(script, BUCKET, *arguments, node=dead)
        await redis.ask(app_bucket("1"), "HSET", redis.tag(app_bucket("1")) + b":connections", dead, 7)
        cluster._dead.append(dead)
        await cluster.settle()

        (stays,) = cluster.nodes
        assert await cluster.ask(stays, ChannelsQuery("1", "", ["subscription_count"])) == {}
        assert await cluster.ask(stays, UsersQuery("1", ROOM)) == []
        assert sorted(await keys_of(redis)) == before


async def test_a_dead_host_s_member_is_refused_where_no_removal_would_find_it() -> None:
    async with redis_cluster(SETUP) as cluster:
        assert isinstance(cluster, RedisCluster)
        redis, dead = await lose_one(cluster)
        with pytest.raises(hiredis.ReplyError, match="took it for dead"):
            await redis.ask_script(ENTER, BUCKET, ROOM, "late", '{"user_id":"late"}', 100, node=dead)
        (stays,) = cluster.nodes
        assert await cluster.ask(stays, UsersQuery("1", ROOM)) == []


async def test_a_dead_host_is_looked_at_for_another_lease_if_something_of_it_was_there() -> None:
    async with redis_cluster(SETUP) as cluster:
        assert isinstance(cluster, RedisCluster)
        redis, dead = await lose_one(cluster)
        expired = redis.tag(b"nodes") + b":expired"
        assert await redis.ask(b"nodes", "ZSCORE", expired, dead) is None  # the harness has waited for the second

        await redis.ask(b"nodes", "SADD", redis.tag(b"nodes") + b":buckets:" + dead, BUCKET)
        await redis.ask_script(COUNT, BUCKET, "0", ROOM, 1, node=dead)
        await redis.leases._remove_expired(dead, ())
        assert float(await redis.ask(b"nodes", "ZSCORE", expired, dead)) > 0
        await redis.leases._remove_expired(dead, ())
        assert await redis.ask(b"nodes", "ZSCORE", expired, dead) is None

"""A script removes few members of a large channel at a time: Redis serves the other hosts in between."""

from __future__ import annotations

from typing import Final

from conformance.backplane.cluster import REMOVED, Setup, names
from conformance.backplane.redis_cluster import RedisCluster, redis_cluster
from conformance.protocol.stage import APP
from soundpost.backplane.redis.buckets import bucket_of
from soundpost.backplane.redis.grace_scripts import LINGER_ALL
from soundpost.backplane.redis.message_fields import member_blob
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.subscription_scripts import COUNT, ENTER, LEAVE_SOME, REMOVE_NODE
from soundpost.core.member import Member

ROOM: Final = "presence-room"
BUCKET: Final = bucket_of(APP.id, ROOM)
NODE: Final = b"gone"
MEMBERS: Final = 5
SETUP: Final = Setup([APP], 1, None, None)


async def state(redis: Redis) -> None:
    """State a channel with members, and another channel, for a node."""
    await redis.ask_script(COUNT, BUCKET, "0", ROOM, MEMBERS, "a-channel", 1, node=NODE)
    for number in range(MEMBERS):
        member = Member(f"user-{number}", b"{}")
        await redis.ask_script(ENTER, BUCKET, ROOM, member.id, member_blob(member), 100, node=NODE)


async def members(redis: Redis, node: bytes = NODE) -> int:
    """Return the number of members whom a node has stated."""
    found: int = await redis.ask(BUCKET, "SCARD", redis.tag(BUCKET) + b":users:" + node + b":" + ROOM.encode())
    return found


async def test_the_members_of_an_expired_node() -> None:
    async with redis_cluster(SETUP) as cluster:
        assert isinstance(cluster, RedisCluster)
        redis = cluster._hosts[cluster.nodes[0]].redis
        await state(redis)
        watcher = await cluster.join(cluster.nodes[0], ROOM, user="watcher")

        left, seen, taken, changed = 2, list[int](), 0, list[list[bytes]]()
        while left:
            some, left, changes = await redis.ask_script(REMOVE_NODE, BUCKET, "0", 2, node=NODE)
            seen.append(await members(redis))
            taken, changed = taken + some, changed + changes
        await cluster.settle()

        assert max(before - after for before, after in zip([MEMBERS, *seen], seen, strict=False)) == 2
        assert (seen[-1], taken) == (0, 2)
        assert names(watcher) == [REMOVED] * MEMBERS
        assert sorted(change[0] for change in changed) == [b"channel_vacated"] + [b"member_removed"] * MEMBERS
        assert await redis.ask(BUCKET, "HGETALL", redis.tag(BUCKET) + b":total") == {ROOM.encode(): b"1"}


async def test_members_who_stay_after_the_end_of_their_node() -> None:
    async with redis_cluster(SETUP) as cluster:
        assert isinstance(cluster, RedisCluster)
        redis = cluster._hosts[cluster.nodes[0]].redis
        await state(redis)

        start, channels, seen, stay = 0, 1, list[int](), 0
        while start < channels:
            start, channels, some = await redis.ask_script(LINGER_ALL, BUCKET, 30_000, start, 2, node=NODE)
            seen.append(await members(redis, b"~"))
            stay += some

        assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) == 2
        assert (seen[-1], stay, channels) == (MEMBERS, MEMBERS, 2)
        assert await members(redis) == 0
        assert await redis.ask(BUCKET, "HLEN", redis.tag(BUCKET) + b":members:" + ROOM.encode()) == MEMBERS


async def test_the_members_that_a_host_had_before_it_was_away() -> None:
    async with redis_cluster(SETUP) as cluster:
        assert isinstance(cluster, RedisCluster)
        redis = cluster._hosts[cluster.nodes[0]].redis
        await state(redis)

        number, changes = await redis.ask_script(LEAVE_SOME, BUCKET, NODE, ROOM, 3)

        assert (number, len(changes), await members(redis)) == (3, 3, MEMBERS - 3)

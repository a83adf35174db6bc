"""A host takes over the members of a channel from Redis one at a time: what happens meanwhile comes after the list."""

from __future__ import annotations

import asyncio
import itertools
import json

from conformance.backplane.cluster import ADDED, REMOVED, SUCCEEDED, Setup, leave
from conformance.backplane.redis_cluster import RedisCluster, redis_cluster
from conformance.protocol.stage import APP, Client, members_of
from soundpost.backplane.redis.channels import Channels
from soundpost.core.peers import UsersQuery

ROOM = "presence-room"
SETUP = Setup([APP], 2, None, None)
MEMBERS = 20


async def taking_over(channels: Channels) -> None:
    """Wait until a channel takes its members over."""
    while not channels._changes_meanwhile:  # noqa: ASYNC110 - the test's own wait
        await asyncio.sleep(0)


def present(client: Client) -> set[str]:
    """Return the members that a client knows of: its list, and what it was told after that."""
    messages = client.read()
    assert messages[0]["event"] == SUCCEEDED
    found = set(members_of(messages[:1])["ids"])
    for message in messages[1:]:
        user = json.loads(message["data"])["user_id"]
        if message["event"] == ADDED:
            assert user not in found
            found.add(user)
        else:
            assert message["event"] == REMOVED
            found.remove(user)
    return found


async def test_who_comes_and_goes_while_a_list_is_taken_over_is_told_once_and_in_order() -> None:
    async with redis_cluster(SETUP) as cluster:
        assert isinstance(cluster, RedisCluster)
        first, second = cluster.nodes
        channels = cluster._hosts[second].registry._channels
        channels.turn_clock = itertools.count().__next__  # a member takes a whole turn
        clients = [await cluster.join(first, ROOM, user=f"user-{number}") for number in range(MEMBERS)]
        newcomer = await cluster.connect(second)

        newcomer.ask(ROOM, {"user_id": "newcomer"})
        second.turn()
        await taking_over(channels)
        leave(clients[3], ROOM)
        clients[4].vanish()
        first.turn()
        late = await cluster.connect(first)
        late.ask(ROOM, {"user_id": "late"})
        first.turn()
        other = await cluster.connect(second)
        other.ask(ROOM, {"user_id": "other"})
        second.turn()
        while channels._changes_meanwhile:
            await cluster.settle()
        await cluster.settle()

        expected = {f"user-{number}" for number in range(MEMBERS)} - {"user-3", "user-4"} | {
            "newcomer",
            "late",
            "other",
        }
        assert present(newcomer) == expected
        assert present(other) == expected
        users = await cluster.ask(second, UsersQuery("1", ROOM))
        assert {json.loads(user) for user in users} == expected


async def test_redis_that_is_lost_while_a_list_is_taken_over_leaves_nobody_waiting() -> None:
    async with redis_cluster(SETUP) as cluster:
        assert isinstance(cluster, RedisCluster)
        first, second = cluster.nodes
        host = cluster._hosts[second]
        channels = host.registry._channels
        channels.turn_clock = itertools.count().__next__
        for number in range(MEMBERS):
            await cluster.join(first, ROOM, user=f"user-{number}")
        newcomer = await cluster.connect(second)
        newcomer.ask(ROOM, {"user_id": "newcomer"})
        second.turn()
        await taking_over(channels)

        host.relay.cut()
        while not host.redis.up or channels._changes_meanwhile or not newcomer.writes:
            await asyncio.sleep(0.01)
            second.turn()
        await cluster.settle()
        while channels._changes_meanwhile:
            await cluster.settle()

        assert present(newcomer) == {f"user-{number}" for number in range(MEMBERS)} | {"newcomer"}


async def test_those_who_wait_for_a_list_get_it_one_after_the_other_and_newcomers_after_them() -> None:
    async with redis_cluster(SETUP) as cluster:
        assert isinstance(cluster, RedisCluster)
        first, second = cluster.nodes
        channels = cluster._hosts[second].registry._channels
        await cluster.join(first, ROOM, user="1")
        tabs = [await cluster.connect(second) for _ in range(4)]
        channels.turn_clock = itertools.count().__next__  # a join takes a whole turn

        for tab in tabs[:3]:
            tab.ask(ROOM, {"user_id": "1"})
        second.turn()
        channel = channels._apps["1"].channels[ROOM]
        while not tabs[0].writes:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        answered = [[message["event"] for message in tab.read()] for tab in tabs[:3]]
        tabs[3].ask(ROOM, {"user_id": "1"})
        await cluster.settle()

        assert answered == [[SUCCEEDED], [], []]
        assert [present(tab) for tab in tabs[1:]] == [{"1"}, {"1"}, {"1"}]
        assert channel.waiting is None

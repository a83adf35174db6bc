"""A host states its channels to a Redis that is back some at a time; clients notice nothing meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from unittest.mock import MagicMock

import msgspec
import pytest

from conformance.backplane.cluster import ADDED, REMOVED, SUCCEEDED, Setup, leave, names
from conformance.backplane.history_hosts import come_back, lose_redis
from conformance.backplane.redis_cluster import Host, RedisCluster, redis_cluster
from conformance.protocol.stage import APP, Client, members_of
from soundpost.backplane.redis import queries, redis
from soundpost.backplane.redis.bucket_commands import ignore_answer
from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.core.app_settings import HistorySettings
from soundpost.core.peers import ChannelQuery, ChannelsQuery, HistoryQuery, UsersQuery

ROOM = "presence-room"
FIRST = [f"room-{number}" for number in range(20)]


@asynccontextmanager
async def two_hosts(presence_grace: float = 30) -> AsyncIterator[tuple[RedisCluster, Host, Host]]:
    """Run two hosts, whose app keeps events of ``news``; the second has 20 channels."""
    history = (HistorySettings(channels=("news",), events=1_000),)
    app = msgspec.structs.replace(APP, history=history, presence_grace=presence_grace)
    async with redis_cluster(Setup([app], 2, None, None)) as cluster:
        assert isinstance(cluster, RedisCluster)
        one, two = (cluster._hosts[node] for node in cluster.nodes)
        await cluster.join(two.stage, *FIRST)
        yield cluster, one, two


def stated(host: Host) -> set[str]:
    """Return the names of the channels that a host has stated since it is back."""
    if not host.redis.up or host.redis.is_connecting:
        return set()
    channels = host.registry._apps["1"].channels.values()
    return {channel.name for channel in channels if channel.stated_by == host.redis.node}


async def be_in_the_middle(host: Host) -> asyncio.Event:
    """Wait until a host is back at Redis and has stated a few of its channels; it goes on when the event is set."""
    channels, goes_on = host.registry._channels, asyncio.Event()

    async def state_all() -> None:
        for name in FIRST[:3]:
            channels.sync(host.registry._apps["1"].channels[name])
        await goes_on.wait()
        await type(channels).sync_all(channels)

    channels.sync_all = state_all  # type: ignore[method-assign]
    while not stated(host):  # noqa: ASYNC110 - the test's own wait
        await asyncio.sleep(0)
    assert stated(host) == set(FIRST[:3])
    return goes_on


async def subscribe(cluster: RedisCluster, host: Host, channel: str) -> Client:
    """Return a client that resumes, and has read the answer."""
    client = await cluster.connect(host.stage)
    client.say("pusher:subscribe", {"channel": channel, "resume": ""})
    await cluster.settle()
    assert names(client) == [SUCCEEDED]
    return client


async def test_a_loop_turn_states_one_channel_after_the_other() -> None:
    async with two_hosts() as (_, _, two):
        two.registry._channels.turn_clock = map(float, count()).__next__
        await lose_redis(two)
        numbers = []
        while len(stated(two)) < len(FIRST):
            before = len(stated(two))
            await asyncio.sleep(0)
            numbers.append(len(stated(two)) - before)
        assert max(numbers) == 1


async def test_a_host_is_not_back_before_it_has_stated_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "BEAT_PERIOD", 0.0)
    async with two_hosts() as (cluster, one, two):
        registrations = []
        register = two.redis.leases.register

        async def counted() -> None:
            registrations.append(len(stated(two)))
            await register()

        monkeypatch.setattr(two.redis.leases, "register", counted)
        await lose_redis(two)
        goes_on = await be_in_the_middle(two)
        tag = two.redis.tag(CONTROL)
        assert await one.redis.ask(CONTROL, "ZSCORE", tag + b":nodes", two.redis.node) is None
        assert await one.redis.ask(CONTROL, "ZSCORE", tag + b":expired", two.redis.node) is not None
        assert not two.registry.reaches_all
        goes_on.set()
        await come_back(cluster, two)
        assert len([number for number in registrations if number]) > 1
        assert await one.redis.ask(CONTROL, "ZSCORE", tag + b":nodes", two.redis.node) is not None
        assert await one.redis.ask(CONTROL, "ZSCORE", tag + b":expired", two.redis.node) is None


async def test_events_of_other_hosts_wait_for_a_host_that_is_not_back() -> None:
    async with two_hosts() as (cluster, one, two):
        plain, last = await cluster.join(two.stage, "last"), await cluster.join(two.stage, "cache-last")
        kept = await subscribe(cluster, two, "news")
        for client in (plain, kept, last):
            client.read()
        await asyncio.gather(lose_redis(one), lose_redis(two))
        one.redis.known = two.redis.known = 2
        for channel in ("last", "news", "cache-last"):
            one.stage.publish(channel, "waited", "{}")
        goes_on = await be_in_the_middle(two)
        for channel in ("last", "news", "cache-last"):
            one.stage.publish(channel, "waited, too", "{}")
        assert not one.registry.reaches_all
        goes_on.set()
        await come_back(cluster, one, two)
        for client in (plain, kept, last):
            assert names(client) == ["waited", "waited, too"]


async def test_kept_events_that_come_meanwhile_are_given_once_and_in_order() -> None:
    async with two_hosts() as (cluster, one, two):
        kept = await subscribe(cluster, two, "news")
        kept.read()
        await lose_redis(two)
        one.stage.publish("news", "away", "{}")
        goes_on = await be_in_the_middle(two)
        one.stage.publish("news", "middle", "{}")
        late = two.stage.connect()
        late.say("pusher:subscribe", {"channel": "news", "resume": ""})
        await asyncio.sleep(0)
        assert "news" in stated(two)
        one.stage.publish("news", "after", "{}")
        goes_on.set()
        await come_back(cluster, two)
        assert names(kept) == ["away", "middle", "after"]
        assert names(late)[0] == SUCCEEDED
        assert names(late) == []


async def test_who_joins_meanwhile_joins_a_channel_that_is_stated_first() -> None:
    async with two_hosts() as (cluster, one, two):
        watcher = await cluster.join(one.stage, ROOM, user="watcher")
        near = await cluster.join(two.stage, ROOM, user="near")
        watcher.read()
        await lose_redis(two)
        goes_on = await be_in_the_middle(two)
        node, ann = two.redis.node, two.stage.connect()
        ann.ask(ROOM, {"user_id": "ann"})
        assert ROOM in stated(two)
        goes_on.set()
        await come_back(cluster, two)
        assert two.redis.node == node
        assert sorted(members_of(ann.read())["ids"]) == ["ann", "near", "watcher"]
        assert watcher.events() == near.events() == [(ADDED, {"user_id": "ann", "user_info": None})]


async def test_who_joins_meanwhile_does_not_join_a_full_channel() -> None:
    async with two_hosts() as (cluster, one, two):
        for host in (one, two):
            host.registry._apps["1"].app = msgspec.structs.replace(host.registry._apps["1"].app, max_presence_members=2)
        await cluster.join(one.stage, ROOM, user="watcher")
        await cluster.join(two.stage, ROOM, user="near")
        await lose_redis(two)
        goes_on = await be_in_the_middle(two)
        ann = two.stage.connect()
        ann.ask(ROOM, {"user_id": "ann"})
        goes_on.set()
        await come_back(cluster, two)
        assert names(ann)[0] == "pusher:subscription_error"
        assert sorted(await cluster.ask(one.stage, UsersQuery("1", ROOM))) == [b'"near"', b'"watcher"']


async def test_who_joins_while_a_connection_is_prepared_does_not_end_it() -> None:
    async with two_hosts() as (cluster, one, two):
        watcher = await cluster.join(one.stage, ROOM, user="watcher")
        await cluster.join(two.stage, ROOM, user="near")
        watcher.read()
        await lose_redis(two)
        while not (two.redis.up and two.redis.is_connecting):  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        node, ann = two.redis.node, two.stage.connect()
        ann.ask(ROOM, {"user_id": "ann"})
        await come_back(cluster, two)
        assert two.redis.node == node
        assert watcher.events() == [(ADDED, {"user_id": "ann", "user_info": None})]
        assert sorted(await cluster.ask(one.stage, UsersQuery("1", ROOM))) == [b'"ann"', b'"near"', b'"watcher"']


@pytest.mark.parametrize("prepared", [True, False])
async def test_who_is_lost_meanwhile_stays_for_the_grace(prepared: bool) -> None:
    async with two_hosts() as (cluster, one, two):
        watcher = await cluster.join(one.stage, ROOM, user="watcher")
        ann = await cluster.join(two.stage, ROOM, user="ann")
        watcher.read()
        await lose_redis(two)
        while not two.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        goes_on = asyncio.Event() if prepared else await be_in_the_middle(two)
        ann.vanish()
        two.stage.turn()
        goes_on.set()
        await come_back(cluster, two)
        assert watcher.read() == []
        assert len(await cluster.ask(one.stage, UsersQuery("1", ROOM))) == 2
        await cluster.join(one.stage, ROOM, user="ann")
        assert watcher.read() == []


async def test_who_leaves_meanwhile_has_left() -> None:
    async with two_hosts() as (cluster, one, two):
        watcher = await cluster.join(one.stage, ROOM, "last", user="watcher")
        ann = await cluster.join(two.stage, ROOM, "last", user="ann")
        watcher.read()
        await lose_redis(two)
        goes_on = await be_in_the_middle(two)
        for channel in (ROOM, "last"):
            leave(ann, channel)
        await two.ping()
        (attributes,) = await cluster.ask(one.stage, ChannelQuery("1", ["last"], ["subscription_count"]))
        assert attributes == {"subscription_count": 1}
        assert [event for event in watcher.events() if event[0] == REMOVED] == [(REMOVED, {"user_id": "ann"})]
        goes_on.set()
        await come_back(cluster, two)
        found = await cluster.ask(one.stage, ChannelsQuery("1", "", ["subscription_count"]))
        assert found.pop(ROOM) == {"subscription_count": 1}
        assert found == {name: {"subscription_count": 1} for name in [*FIRST, "last"]}


async def test_a_history_that_is_asked_for_meanwhile_is_read_first() -> None:
    async with two_hosts() as (cluster, one, two):
        kept = await subscribe(cluster, two, "news")
        one.stage.publish("news", "before", "{}")
        await cluster.settle()
        (before,) = kept.read()
        await lose_redis(two)
        one.stage.publish("news", "missed", "{}")
        goes_on = await be_in_the_middle(two)
        pages: list[list[bytes]] = []
        query = HistoryQuery("1", "news", before["position"], 10, 10_000, delivered=True)
        two.registry.answer(query, lambda page: pages.append([event.frame for event in page.events]))
        assert "news" in stated(two)
        goes_on.set()
        await come_back(cluster, two)
        assert names(kept) == ["missed"]
        assert pages == [[]]  # it is delivered to all subscribers


async def test_a_connection_that_is_lost_meanwhile_begins_anew() -> None:
    async with two_hosts() as (cluster, one, two):
        watcher = await cluster.join(one.stage, ROOM, user="watcher")
        await cluster.join(two.stage, ROOM, "last", user="ann")
        watcher.read()
        nodes = [two.redis.node]
        for _ in range(2):
            await lose_redis(two)
            await be_in_the_middle(two)
            nodes.append(two.redis.node)
        await lose_redis(two)
        del two.registry._channels.sync_all
        await come_back(cluster, two)
        assert stated(two) == {*FIRST, ROOM, "last"}
        await asyncio.gather(*two.redis.leases._tasks)
        for node in nodes:
            assert await one.redis.ask(CONTROL, "KEYS", one.redis.tag(b"1:")[:-1] + b"*:share:" + node) == []
        found = await cluster.ask(one.stage, ChannelsQuery("1", "room", ["subscription_count"]))
        assert found == {name: {"subscription_count": 1} for name in FIRST}
        assert watcher.read() == []
        one.stage.publish(FIRST[-1], "event", "{}")
        await cluster.settle()


async def answered_in_each_turn(host: Host, clients: list[Client]) -> list[int]:
    """Return how many clients are answered in each loop turn, until all are."""
    numbers, answered = [], 0
    while answered < len(clients):
        await asyncio.sleep(0)
        host.stage.turn()
        now = sum(bool(client.writes) for client in clients)
        numbers.append(now - answered)
        answered = now
    return numbers


async def test_joins_that_wait_for_a_redis_that_is_gone_go_on_one_after_the_other() -> None:
    async with two_hosts() as (cluster, _, two):
        two.registry._channels.turn_clock = map(float, count()).__next__
        cluster.hold(two.stage)
        clients = [two.stage.connect() for _ in range(20)]
        for number, client in enumerate(clients):
            client.ask(f"hall-{number // 2}")
        await asyncio.sleep(0)
        two.relay.forget()
        two.relay.cut()
        cluster._held.discard(two.stage)
        assert max(await answered_in_each_turn(two, clients)) == 1
        assert [names(client) for client in clients] == [[SUCCEEDED]] * 20


async def have_unanswered_joins(cluster: RedisCluster, host: Host, number: int) -> list[Client]:
    """Return clients whose joins of a channel that is stated Redis does not answer: it is lost to their host."""
    cluster.hold(host.stage)
    clients = [host.stage.connect() for _ in range(number)]
    for user, client in enumerate(clients):
        client.ask(ROOM, {"user_id": user})
    await asyncio.sleep(0)
    host.relay.forget()
    host.relay.cut()
    cluster._held.discard(host.stage)
    return clients


async def test_joins_that_a_lost_redis_has_not_answered_go_on_one_after_the_other() -> None:
    async with two_hosts() as (cluster, one, two):
        await cluster.join(two.stage, ROOM, user="near")
        two.registry._channels.turn_clock = map(float, count()).__next__
        clients = await have_unanswered_joins(cluster, two, 10)
        assert max(await answered_in_each_turn(two, clients)) == 1
        await come_back(cluster, two)
        assert [names(client)[0] for client in clients] == [SUCCEEDED] * 10
        assert len(await cluster.ask(one.stage, UsersQuery("1", ROOM))) == 11


async def test_joins_that_still_wait_for_their_turn_when_redis_is_back_are_asked_again() -> None:
    async with two_hosts() as (cluster, one, two):
        await cluster.join(one.stage, ROOM, user="watcher")
        await cluster.join(two.stage, ROOM, user="near")
        entry, channels = two.registry._apps["1"], two.registry._channels
        waiting: list[Callable[[], None]] = []
        channels.turns.do = waiting.append  # type: ignore[method-assign, assignment]
        clients = await have_unanswered_joins(cluster, two, 10)
        while two.redis.up or len(waiting) < len(clients):  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        two.redis.known = 0
        del channels.turns.do
        entry.app = msgspec.structs.replace(entry.app, max_presence_members=2)
        while ROOM not in stated(two):  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        for go_on in waiting:
            go_on()
        await come_back(cluster, two)
        joined = [names(client)[0] for client in clients].count(SUCCEEDED)
        assert len(await cluster.ask(one.stage, UsersQuery("1", ROOM))) == 2 + joined


async def test_a_loop_turn_states_a_few_changed_counts() -> None:
    async with two_hosts() as (_, _, two):
        counts, channels = two.registry._counts, two.registry._apps["1"].channels.values()
        counts.turn_clock = map(float, count()).__next__
        for channel in channels:
            counts.subscriptions_changed(channel)
        for left in range(len(FIRST) - 1, -1, -1):
            counts._state_some()
            assert len(counts._stating) == left


async def test_a_query_waits_for_the_changed_counts_of_its_moment_and_for_no_later_ones() -> None:
    async with two_hosts() as (cluster, _, two):
        counts, channels = two.registry._counts, [*two.registry._apps["1"].channels.values()]
        await cluster.settle()
        counts.turn_clock = map(float, count()).__next__  # a count takes a whole turn
        stated: list[SharedChannel] = []
        counts._state = lambda channel, announce: stated.append(channel)  # type: ignore[method-assign]
        behind: list[int] = []
        counts.subscriptions_changed(channels[0])
        counts.subscriptions_changed(channels[1])
        counts._state_some()
        counts.subscriptions_changed(channels[2])
        counts.state_now(lambda: behind.append(len(stated)))
        assert behind == []
        for _ in range(10):
            counts.subscriptions_changed(channels[3])
            counts._state_some()

        assert len(behind) == 1
        assert {*channels[:3]} <= {*stated[: behind[0]]} <= {*channels[:4]}
        del counts._state
        await cluster.settle()


async def test_a_channel_that_closes_while_counts_are_stated_is_stated_once() -> None:
    async with two_hosts() as (_, _, two):
        counts, channels = two.registry._counts, [*two.registry._apps["1"].channels.values()]
        counts.turn_clock = map(float, count()).__next__  # a count takes a whole turn
        stated: list[SharedChannel] = []
        counts._state = lambda channel, announce: stated.append(channel)  # type: ignore[method-assign]
        counts.subscriptions_changed(channels[0])
        counts.subscriptions_changed(channels[1])
        counts._state_some()
        counts.state_closed(channels[0])
        counts._state_some()

        assert stated == [channels[1], channels[0]]
        del counts._state


async def test_channels_that_a_dead_worker_did_not_have_are_looked_at_over_several_turns() -> None:
    async with two_hosts() as (_, _, two):
        looks = count()
        two.registry._channels.turn_clock = lambda: float(next(looks))  # a channel takes a whole turn
        two.registry.remove_node(MagicMock())
        assert next(looks) < 5
        for _ in range(2 * len(FIRST)):
            await asyncio.sleep(0)

        assert next(looks) > len(FIRST)
        assert len(two.registry._apps["1"].channels) == len(FIRST)


async def test_a_host_is_behind_while_redis_has_very_many_commands_to_answer() -> None:
    async with two_hosts() as (cluster, _, two):
        peers = two.stage.node.peers
        cluster.hold(two.stage)
        assert not peers.is_behind
        for _ in range(2_001):
            two.redis.send(CONTROL, ("PING",), ignore_answer)
        assert peers.is_behind
        cluster.release(two.stage)
        await cluster.settle()
        assert not peers.is_behind


@pytest.mark.parametrize("attributes", [[], ["subscription_count"]])
async def test_pages_of_channels_are_one_list(monkeypatch: pytest.MonkeyPatch, attributes: list[str]) -> None:
    """A page has channels of one bucket, and the last one those that are left of all buckets."""
    monkeypatch.setattr(queries, "SLICE", 2)
    monkeypatch.setattr(queries, "_ATTRIBUTES_AT_ONCE", 2)
    async with two_hosts() as (cluster, one, two):
        channels = [f"page-{number}" for number in range(70)]
        await cluster.join(two.stage, *channels)
        expected = dict.fromkeys(channels, dict.fromkeys(attributes, 1))
        query = ChannelsQuery("1", "page-", attributes)

        async def found(host: Host) -> Any:
            answers: list[bytes] = []
            host.registry.answer(query, answers.append)
            while not answers:  # noqa: ASYNC110 - the test's own wait
                await asyncio.sleep(0)
            return json.loads(answers[0])

        assert await found(one) == expected
        await lose_redis(two)
        assert await found(two) == expected

"""Histories while Redis is away, comes back, or comes back empty: nothing is missed in silence, or out of order."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from conformance.backplane.cluster import SUCCEEDED, names
from conformance.backplane.history_hosts import RULES, come_back, empty, hosts, lose_redis, subscribe
from conformance.backplane.redis_cluster import Host, RedisCluster
from conformance.backplane.resuming_pages import GAP, offset_of
from conformance.protocol.stage import Message
from soundpost.backplane.redis import history, history_answers, history_publishing, history_reads
from soundpost.backplane.redis.buckets import bucket_of
from soundpost.core import resumption
from soundpost.core.peers import HistoryDeletion, OutgoingEvent
from soundpost.wire import messages


@pytest.fixture(autouse=True)
def _gaps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "GAP_SPREAD", 0.0)


async def missed_by(host: Host, cluster: RedisCluster, other: Host, *events: str, channel: str = "news") -> None:
    """Publish events on another host while a host does not hear of them."""
    cluster.hold(host.stage)
    for event in events:
        other.stage.publish(channel, event, "{}")
    await cluster.settle()
    host.relay.forget()
    cluster._held.discard(host.stage)
    await lose_redis(host)


async def fail_over(cluster: RedisCluster, host: Host) -> None:
    """Let a host find another life of Redis, with the same data."""
    for bucket in host.registry._histories.generations.by_bucket:
        await host.redis.ask(bucket, "SET", host.redis.tag(bucket) + b":source", "another")
    await lose_redis(host)
    await come_back(cluster, host)


async def test_what_was_published_meanwhile_comes_when_redis_is_back() -> None:
    async with hosts() as (cluster, (one, two)):
        stock = await subscribe(cluster, one.stage, "news", None)
        able = await subscribe(cluster, one.stage, "news")
        stock.read(), able.read()
        await missed_by(one, cluster, two, "a", "b")
        await come_back(cluster, one)
        assert names(stock) == names(able) == ["a", "b"]


@pytest.mark.parametrize("resumes", [False, True])
async def test_who_comes_meanwhile_gets_what_was_published_after(
    monkeypatch: pytest.MonkeyPatch, resumes: bool
) -> None:
    monkeypatch.setattr(history_answers, "_CLOCKS", 0)
    async with hosts() as (cluster, (one, two)):
        far = await subscribe(cluster, two.stage, "news")
        for event in ("old", "before"):
            two.stage.publish("news", event, "{}")
        await cluster.settle()
        old, before = far.read()[-2:]
        cluster.hold(one.stage)
        one.relay.forget()
        await lose_redis(one)
        while one.redis.milliseconds * 1_000 <= offset_of(before["position"]):  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0.001)
        near = one.stage.connect()
        near.say("pusher:subscribe", {"channel": "news"} | ({"resume": old["position"]} if resumes else {}))
        assert names(near) == [SUCCEEDED]
        two.stage.publish("news", "a", "{}")
        await cluster.settle()
        cluster.release(one.stage)
        one.redis.known = 0
        await come_back(cluster, one)
        assert names(near) == ["before", "a"][not resumes :]


async def test_more_than_is_kept_is_a_gap_and_then_what_is_kept() -> None:
    async with hosts() as (cluster, (one, two)):
        stock = await subscribe(cluster, one.stage, "short", None)
        able = await subscribe(cluster, one.stage, "short")
        two.stage.publish("short", "first", "{}")
        await cluster.settle()
        assert names(stock)[1:] == names(able)[1:] == ["first"]
        await missed_by(one, cluster, two, *map(str, range(300)), channel="short")
        await come_back(cluster, one)
        gap, *events = able.read()
        assert gap["event"] == GAP
        assert 5 <= len(events) < 300
        assert [event["event"] for event in events] == names(stock) == [str(n) for n in range(300)][-len(events) :]
        assert offset_of(gap["position"]) == offset_of(events[0]["position"]) - 1


async def test_a_host_that_comes_late_to_a_new_generation_gives_all_that_is_in_it() -> None:
    async with hosts() as (cluster, (one, two)):
        stock = await subscribe(cluster, one.stage, "news", None)
        able = await subscribe(cluster, one.stage, "news")
        other = await subscribe(cluster, two.stage, "news")
        two.stage.publish("news", "old", "{}")
        await cluster.settle()
        assert names(stock)[1:] == names(able)[1:] == names(other)[1:] == ["old"]

        cluster.hold(one.stage)
        await empty(cluster, two)
        await lose_redis(two)
        await come_back(cluster, two)
        two.stage.publish("news", "a", "{}")
        two.stage.publish("news", "b", "{}")
        await cluster.settle()
        one.relay.forget()
        cluster.release(one.stage)
        await lose_redis(one)
        await come_back(cluster, one, two)

        for client in (able, other):
            gap, *events = client.read()
            assert gap["event"] == GAP
            assert [event["event"] for event in events] == ["a", "b"]
            assert offset_of(gap["position"]) < offset_of(events[0]["position"])
            assert gap["position"].split(".")[0] == events[0]["position"].split(".")[0]
        assert names(stock) == ["a", "b"]


async def test_what_was_given_before_does_not_come_again_with_a_new_generation() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        stock = await subscribe(cluster, one.stage, "news", None)
        able = await subscribe(cluster, one.stage, "news")
        for event in ("a", "b"):
            one.stage.publish("news", event, "{}")
        await cluster.settle()
        stock.read(), able.read()
        await fail_over(cluster, one)
        assert (names(stock), names(able)) == ([], [GAP])
        one.stage.publish("news", "c", "{}")
        await cluster.settle()
        assert names(stock) == names(able) == ["c"]


async def test_events_keep_their_order_where_redis_has_forgotten_the_scripts() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        stock = await subscribe(cluster, one.stage, "news", None)
        stock.read()
        await empty(cluster, one)
        given: list[str] = []
        for number in range(200):
            one.stage.publish("news", str(number), "{}")
            one.stage.turn()
            await asyncio.sleep(0)
            given += names(stock)
        one.redis.known = 0
        await come_back(cluster, one)
        while len(given) < 200:
            await cluster.settle()
            given += names(stock)
        assert given == [str(number) for number in range(200)]


async def test_events_that_wait_too_long_are_given_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.05)
    async with hosts(RULES) as (cluster, (one,)):
        stock = await subscribe(cluster, one.stage, "news", None)
        stock.read()
        one.relay.hold()
        for number in range(3):
            one.stage.publish("news", str(number), "{}")
        await asyncio.sleep(0)
        one.redis.reconnect("a test")
        one.stage.publish("news", "3", "{}")  # before Redis is known to be away
        while one.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        one.stage.publish("news", "4", "{}")
        given: list[dict[str, Any]] = []
        while len(given) < 5:
            one.stage.turn()
            given += stock.read()
            await asyncio.sleep(0.005)
        assert [event["event"] for event in given] == list("01234")
        assert all("position" not in event for event in given)
        one.relay.forget()
        one.relay.cut()
        await come_back(cluster, one)
        assert names(stock) == []


async def test_who_subscribes_meanwhile_gets_what_has_no_position_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "cache-kept")
        first.read()
        one.relay.hold()
        one.redis.reconnect("a test")
        while one.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        one.stage.publish("cache-kept", "mine", "{}", socket_id=first.socket_id)
        for resume in ("", "?", "other.1"):
            for was in ([], [first.socket_id]):
                client = one.stage.connect()
                client.say("pusher:subscribe", {"channel": "cache-kept", "resume": resume, "was": was})
                assert names(client) == [SUCCEEDED] + ["mine"] * (not was)
        one.relay.forget()
        one.relay.cut()


@pytest.mark.parametrize("wait", [0.0, 0.05])
async def test_who_comes_back_alone_gets_what_has_no_position_yet_in_its_order(
    wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", wait)
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "news")
        (answer,) = first.read()
        one.relay.hold()
        one.redis.reconnect("a test")
        while one.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        one.redis.known = 0
        one.stage.publish("news", "a", "{}")
        first.vanish()  # the only one on the channel, and "a" is lost on its way
        one.stage.turn()
        back = one.stage.connect()
        back.say("pusher:subscribe", {"channel": "news", "resume": answer["position"]})
        one.stage.publish("news", "b", "{}")
        given: list[str] = []
        while "b" not in given:
            given += names(back)
            await asyncio.sleep(0)
        assert given == [SUCCEEDED, "a", "b"]
        one.relay.forget()
        one.relay.cut()
        await come_back(cluster, one)
        publishing = one.registry._histories.publishing
        assert (names(back), publishing._put_by, publishing._waiting) == ([], {}, {})


async def test_what_another_host_may_have_given_is_not_given_to_who_comes_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    async with hosts() as (cluster, (one, two)):
        near = await subscribe(cluster, one.stage, "news")
        far = await subscribe(cluster, two.stage, "news")
        near.read(), far.read()
        cluster._held.add(one.stage)
        one.relay.loses_answers = True
        one.stage.publish("news", "a", "{}")
        await asyncio.sleep(0)
        found: list[Message] = []
        while not found:
            await cluster.settle()
            found = far.read()
        one.relay.hold()
        await lose_redis(one)
        one.stage.turn()
        assert names(near) == ["a"]
        near.vanish()
        one.stage.turn()
        moved = one.stage.connect()
        moved.say("pusher:subscribe", {"channel": "news", "resume": found[0]["position"]})
        assert names(moved) == [SUCCEEDED]
        one.relay.loses_answers = False
        one.relay.forget()
        one.relay.cut()
        cluster._held.discard(one.stage)
        await come_back(cluster, one)
        assert [message for message in moved.read() if message["position"] != found[0]["position"]] == []
        assert not one.registry._histories.publishing._unsure


async def test_what_has_no_position_here_is_forgotten_where_redis_had_it_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    async with hosts() as (cluster, (one, two)):
        await lose_redis(one)
        stock = one.stage.connect()
        stock.say("pusher:subscribe", {"channel": "news"})
        event = OutgoingEvent("news", messages.event("a", "news", "{}"), None, False, "same", repeated=True)
        for host in (one, two):
            host.stage.node.peers.publish("1", event)
        assert names(stock) == [SUCCEEDED, "a"]
        await come_back(cluster, one)
        assert names(stock) == []
        assert names(await subscribe(cluster, one.stage, "news")) == [SUCCEEDED]


async def test_what_waits_for_redis_is_forgotten_where_nobody_is_on_the_channel_any_more() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "news")
        await lose_redis(one)
        one.stage.publish("news", "a", "{}")
        first.vanish()
        one.stage.turn()
        assert one.registry._histories.publishing._waiting
        await come_back(cluster, one)
        assert not one.registry._histories.publishing._waiting


async def test_very_many_events_that_have_waited_long_enough_are_given_over_several_turns_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.2)
    async with hosts(RULES) as (cluster, (one,)):
        publishing = one.registry._histories.publishing
        client = await subscribe(cluster, one.stage, "news")
        assert names(client) == [SUCCEEDED]
        one.relay.hold()
        one.redis.reconnect("a test")
        while one.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        publishing.turn_clock = itertools.count().__next__  # an event takes a whole turn
        events = [f"event-{number}" for number in range(20)]
        for event in events[:-1]:
            one.stage.publish("news", event, "{}")
        given, numbers = list[str](), list[int]()
        while len(given) < len(events):
            await asyncio.sleep(0)
            one.stage.turn()
            new = names(client)
            if new and not given:
                one.stage.publish("news", events[-1], "{}")
            given += new
            numbers.append(len(new))
        assert given == events
        assert max(numbers) == 1
        one.relay.forget()
        one.relay.cut()


async def test_who_reads_gets_what_has_no_position_yet_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "news")
        (answer,) = first.read()
        one.relay.hold()
        one.redis.reconnect("a test")
        while one.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        one.stage.publish("news", "a", "{}")
        one.stage.turn()
        client = one.stage.connect()
        client.say("pusher:subscribe", {"channel": "news", "resume": answer["position"]})
        one.stage.publish("news", "b", "{}")
        assert names(client) == [SUCCEEDED, "a", "b"]
        one.relay.forget()
        one.relay.cut()


async def test_who_reads_while_a_generation_ends_gets_what_has_no_position_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    async with hosts() as (cluster, (one, two)):
        first = await subscribe(cluster, one.stage, "news")
        (answer,) = first.read()
        one.stage.publish("news", "old", "{}")
        await cluster.settle()
        client = await cluster.connect(one.stage)
        client.is_slow = True
        client.say("pusher:subscribe", {"channel": "news", "resume": answer["position"]})
        await empty(cluster, two)
        await lose_redis(one)
        one.stage.publish("news", "a", "{}")
        assert names(first)[-1] == "a"
        await come_back(cluster, one)
        client.is_slow = False
        resumption.read_on(client)
        assert names(client) == [SUCCEEDED, GAP, "a"]


async def test_what_is_deleted_meanwhile_is_given_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "cache-kept")
        one.stage.publish("cache-kept", "a", "{}")
        await cluster.settle()
        answer, _, event = first.read()
        await lose_redis(one)
        one.stage.node.peers.ask(HistoryDeletion("1", "cache-kept"), lambda position: None)
        for position, gap, rest in (
            (answer["position"], "unknown", ["pusher:cache_miss"]),
            (event["position"], None, []),
            ("", None, ["pusher:cache_miss"]),
        ):
            client = one.stage.connect()
            client.say("pusher:subscribe", {"channel": "cache-kept", "resume": position})
            succeeded, *events = client.read()
            assert (succeeded.get("gap"), [message["event"] for message in events]) == (gap, rest)
        await come_back(cluster, one)
        assert names(first) == []
        succeeded, _ = (await subscribe(cluster, one.stage, "cache-kept", answer["position"])).read()
        assert succeeded["gap"] == "deleted"


async def test_answers_wait_for_a_connection_that_is_under_way() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "news")
        (answer,) = first.read()
        first.vanish()
        one.stage.publish("news", "a", "{}")
        await cluster.settle()
        one.redis.is_silent = True  # as far as a host knows that was frozen itself
        one.redis.reconnect("a test")
        one.redis.known = 0
        while one.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        back = one.stage.open("1")
        back.read()
        back.say("pusher:subscribe", {"channel": "news", "resume": answer["position"]})
        assert back.read() == []
        await come_back(cluster, one)
        found = back.read()
        while not found:
            await asyncio.sleep(0.01)
            await cluster.settle()
            found = back.read()
        assert [message["event"] for message in found] == [SUCCEEDED, "a"]
        assert found[0]["resumed"] == 1


async def test_a_question_that_is_lost_with_a_connection_is_asked_again() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "news")
        (answer,) = first.read()
        one.stage.publish("news", "a", "{}")
        await cluster.settle()
        first.vanish()
        await cluster.settle()
        await subscribe(cluster, one.stage, "news", None)
        one.relay.hold()
        back = one.stage.connect()
        back.say("pusher:subscribe", {"channel": "news", "resume": answer["position"]})
        await asyncio.sleep(0)
        one.relay.forget()
        await lose_redis(one)
        await come_back(cluster, one)
        while not back.writes:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0.01)
        await cluster.settle()
        assert names(back) == [SUCCEEDED, "a"]


async def test_a_question_that_redis_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_reads, "_RETRY", 0.0)
    async with hosts(RULES) as (cluster, (one,)):
        await subscribe(cluster, one.stage, "news")
        monkeypatch.setattr(one.registry._histories.reads, "ask", lambda entry, channel, place, then: then(None))
        back = one.stage.connect()
        back.say("pusher:subscribe", {"channel": "news", "resume": "other.1"})
        for _ in range(200):
            await asyncio.sleep(0)
        (answer,) = back.read()
        assert answer["gap"] == "unknown"


async def test_who_comes_from_another_host_to_one_that_redis_leaves_gets_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    async with hosts() as (cluster, (one, two)):
        first = await subscribe(cluster, two.stage, "news")
        two.stage.publish("news", "a", "{}")
        await cluster.settle()
        position = first.read()[-1]["position"]
        one.relay.hold()
        back = one.stage.connect()
        back.say("pusher:subscribe", {"channel": "news", "resume": position})
        await lose_redis(one)
        while not back.writes:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        (answer,) = back.read()
        assert (answer.get("resumed"), answer["position"]) == (0, position)
        one.relay.forget()
        one.relay.cut()
        await come_back(cluster, one)
        two.stage.publish("news", "b", "{}")
        await cluster.settle()
        new = [message for message in back.read() if offset_of(message["position"]) > offset_of(position)]
        assert [message["event"] for message in new] == ["b"]


async def test_an_answer_does_not_outlive_its_generation() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "news")
        (answer,) = first.read()
        first.vanish()
        one.stage.publish("news", "a", "{}")
        await cluster.settle()
        await subscribe(cluster, one.stage, "news", None)
        back = await subscribe(cluster, one.stage, "news", answer["position"])
        assert names(back) == [SUCCEEDED, "a"]
        await fail_over(cluster, one)
        (answer,) = (await subscribe(cluster, one.stage, "news", answer["position"])).read()
        assert answer["gap"] == "generation"


async def test_an_answer_that_is_remembered_does_not_outlive_its_generation() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "news")
        (answer,) = first.read()
        first.vanish()
        one.stage.publish("news", "a", "{}")
        await cluster.settle()
        for client in [await subscribe(cluster, one.stage, "news", resume) for resume in (None, answer["position"])]:
            client.vanish()
        await cluster.settle()
        assert one.registry._histories.reads._remembered
        await fail_over(cluster, one)  # nobody is on the channel, whose history begins anew with the next subscriber
        (answer,) = (await subscribe(cluster, one.stage, "news", answer["position"])).read()
        assert answer["gap"] == "generation"


async def test_who_comes_back_before_this_hosts_history_begins_gets_what_has_no_position_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    async with hosts(RULES) as (cluster, (one,)):
        first = await subscribe(cluster, one.stage, "news")
        one.stage.publish("news", "old", "{}")
        await cluster.settle()
        position = first.read()[-1]["position"]
        first.vanish()
        await cluster.settle()
        bucket, of_another_channel = bucket_of("1", "news"), offset_of(position) + 100
        await one.redis.ask(bucket, "SET", one.redis.tag(bucket) + b":top", of_another_channel)
        await subscribe(cluster, one.stage, "news", None)
        await lose_redis(one)
        one.redis.known = 2  # it waits for another host before it sends what waits
        one.stage.publish("news", "a", "{}")
        while not one.redis.up or one.redis.is_connecting:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        back = one.stage.connect()
        back.say("pusher:subscribe", {"channel": "news", "resume": position})
        await cluster.settle()
        assert names(back) == [SUCCEEDED, "a"]


async def test_who_joins_while_a_connection_is_prepared_does_not_end_it() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        await empty(cluster, one)
        prepare, nodes, clients = one.redis.prepare, [], []

        async def join_first() -> None:
            nodes.append(one.redis.node)
            clients.append(one.stage.connect())
            clients[-1].say("pusher:subscribe", {"channel": "news", "resume": ""})
            await one.redis.ask(b"nodes", "PING")
            await prepare()

        one.redis.prepare = join_first
        await lose_redis(one)
        await come_back(cluster, one)
        assert nodes == [one.redis.node]
        assert names(clients[0]) == [SUCCEEDED]


async def test_a_host_that_starts_without_redis_gives_what_is_new_only() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        one.stage.publish("news", "old", "{}")
        await cluster.settle()
        late = await cluster.begin()
        stock, able = late.stage.connect(), late.stage.connect()
        stock.say("pusher:subscribe", {"channel": "news"})
        able.say("pusher:subscribe", {"channel": "news", "resume": ""})
        assert names(stock) == names(able) == [SUCCEEDED]
        await come_back(cluster, late)
        one.stage.publish("news", "new", "{}")
        await cluster.settle()
        assert (names(stock), names(able)) == (["new"], [GAP, "new"])

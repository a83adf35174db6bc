"""Histories in a Redis that loses messages and keys, refuses commands, or is written to by others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, Final

import hiredis
import msgspec
import pytest

from conformance.backplane.cluster import SUCCEEDED, names, read_all
from conformance.backplane.history_hosts import RULES, come_back, empty, hosts, lose_redis, subscribe
from conformance.backplane.redis_cluster import Host, RedisCluster
from conformance.backplane.resuming_pages import GAP
from conformance.protocol.stage import APP, Client, Message
from soundpost.backplane.redis import history, history_publishing, publish_queue
from soundpost.backplane.redis.buckets import bucket_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.message_fields import join_fields
from soundpost.backplane.redis.topic_messages import MAGIC
from soundpost.core.app_settings import HistorySettings
from soundpost.core.peers import HistoryDeletion, OutgoingEvent
from soundpost.wire import messages
from soundpost.wire.frames import frame_payload, text_frame
from support.redis_process import RedisServer, running_redis

BUCKET: Final = bucket_of("1", "news")


@pytest.fixture(autouse=True)
def _gaps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "GAP_SPREAD", 0.0)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A server that a test may set up anew."""
    with running_redis() as server:
        yield server


async def publish(cluster: RedisCluster, host: Host, *events: str, channel: str = "news") -> None:
    for event in events:
        host.stage.publish(channel, event, "{}")
    await cluster.settle()


def names_of(messages: list[Message]) -> list[str]:
    return [message["event"] for message in messages]


async def begun(cluster: RedisCluster, host: Host, channel: str = "news") -> tuple[Client, str]:
    """Return a client that can resume, and its position."""
    client = await subscribe(cluster, host.stage, channel)
    (answer,) = client.read()
    return client, answer["position"]


async def resumed(cluster: RedisCluster, host: Host, position: str, channel: str = "news") -> list[Message]:
    """Return what a client is sent that comes back."""
    return await read_all(cluster, await subscribe(cluster, host.stage, channel, position))


async def check(cluster: RedisCluster, host: Host) -> None:
    """Let a host look twice whether it has heard of everything."""
    for _ in range(2):
        host.redis.on_beat()
        await cluster.settle()


def key(host: Host, name: str) -> bytes:
    """Return a key of the bucket of ``news``."""
    return host.redis.tag(BUCKET) + b":" + name.encode()


async def write(host: Host, *command: str | bytes | int) -> Any:
    """Do in Redis what others might."""
    return await host.redis.ask(BUCKET, *command)


# Topics


async def test_a_last_message_that_was_lost_is_noticed_and_read() -> None:
    async with hosts() as (cluster, (one, two)):
        client, _ = await begun(cluster, one)
        await publish(cluster, two, "a")
        assert names(client) == ["a"]
        await check(cluster, one)
        take, one._take = one._take, lambda topic, data: None
        await publish(cluster, two, "b")
        one._take = take
        assert names(client) == []
        await check(cluster, one)
        assert names(client) == ["b"]


async def test_an_event_that_some_have_without_a_position_has_its_id_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    async with hosts(RULES, RULES, RULES) as (cluster, (one, two, three)):
        near, position = await begun(cluster, one)
        far, _ = await begun(cluster, two)
        cluster._held.add(one.stage)
        one.relay.loses_answers = True
        one.stage.publish("news", "a", "{}")
        await asyncio.sleep(0)
        found: list[Message] = []
        while not found:
            await cluster.settle()
            found = far.read()
        assert "id" not in found[0]
        await lose_redis(one)
        one.stage.turn()
        (given,) = near.read()
        assert (given["event"], "position" in given) == ("a", False)
        one.relay.loses_answers = False
        cluster._held.discard(one.stage)
        await come_back(cluster, one)
        assert names(near) == names(far) == []
        for host in (one, two, three):
            _, event = await resumed(cluster, host, position)
            assert (event["id"], event["position"]) == (given["id"], found[0]["position"])


async def test_an_event_whose_answer_died_with_redis_comes_once() -> None:
    async with hosts() as (cluster, (one, two)):
        near, _ = await begun(cluster, one)
        far, _ = await begun(cluster, two)
        await subscribe(cluster, two.stage, "cache-kept")
        cluster._held.add(one.stage)
        one.relay.loses_answers = True
        for event in ("a", "b"):
            one.stage.publish("news", event, "{}")
        await asyncio.sleep(0)
        found: list[str] = []
        while len(found) < 2:
            await cluster.settle()
            found += names(far)
        assert found == ["a", "b"]
        await empty(cluster, two)
        await lose_redis(one)
        one.relay.loses_answers = False
        cluster._held.discard(one.stage)
        await come_back(cluster, one, two)
        await publish(cluster, two, "c")
        assert (names(near), names(far)) == ([GAP, "a", "b", "c"], [GAP, "c"])


async def test_many_events_that_were_under_way_with_a_lost_connection_are_kept_once() -> None:
    async with hosts() as (cluster, (one, two)):
        far, position = await begun(cluster, two)
        cluster._held.add(one.stage)
        one.relay.loses_answers = True
        events = [str(number) for number in range(120)]
        for event in events:
            one.stage.publish("news", event, "{}")
        await asyncio.sleep(0)
        found: list[str] = []
        while len(found) < len(events):
            await cluster.settle()
            found += names(far)
        await lose_redis(one)
        one.relay.loses_answers = False
        cluster._held.discard(one.stage)
        await come_back(cluster, one)
        assert found + names(far) == events
        assert names_of(await resumed(cluster, two, position)) == [SUCCEEDED, *events]


async def test_who_joins_while_a_lost_event_is_read_gets_it_once() -> None:
    async with hosts() as (cluster, (one, two)):
        await subscribe(cluster, one.stage, "cache-kept")
        await publish(cluster, two, "a", channel="cache-kept")
        cluster.hold(one.stage)
        await publish(cluster, two, "b", channel="cache-kept")
        one.registry._channels.sync(one.registry._apps["1"].channels["cache-kept"])
        newcomer, take = one.stage.connect(), one._take

        def join_at_once(topic: bytes, data: bytes) -> None:
            take(topic, data)
            if topic.endswith(b"cache-kept"):
                newcomer.say("pusher:subscribe", {"channel": "cache-kept"})

        one._take = join_at_once
        cluster.release(one.stage)
        assert names_of(await read_all(cluster, newcomer)) == [SUCCEEDED, "a", "b"]
        one._take = take
        _, last = (await subscribe(cluster, one.stage, "cache-kept", None)).read()
        assert last["event"] == "b"


async def test_a_last_event_that_is_deleted_while_one_before_it_is_read_is_not_kept() -> None:
    async with hosts() as (cluster, (one, two)):
        await subscribe(cluster, one.stage, "cache-kept")
        await publish(cluster, two, "a", channel="cache-kept")
        cluster.hold(one.stage)
        one.registry._histories.sync(one.registry._apps["1"].channels["cache-kept"])
        await publish(cluster, two, "b", channel="cache-kept")
        await cluster.ask(two.stage, HistoryDeletion("1", "cache-kept"))
        cluster.release(one.stage)
        await cluster.settle()
        _, last = (await subscribe(cluster, one.stage, "cache-kept", None)).read()
        assert last["event"] == "pusher:cache_miss"


async def test_forged_messages_change_nothing_for_long(caplog: pytest.LogCaptureFixture) -> None:
    async with hosts() as (cluster, (one, two)):
        client, position = await begun(cluster, one)
        await publish(cluster, two, "a")
        assert names(client) == ["a"]
        generation, topic = position.split(".")[0].encode(), one.redis.topic(BUCKET, "news")
        frame = messages.event("forged", "news", "{}")
        far, last = b"%d" % 2**52, b"%d" % 2**53
        for kind, *fields in (
            (b"H", b"0", generation, last, b"1", b"id", b"", frame),
            (b"H", b"0", generation, far, b"1", b"not an id", b"", frame),
            (b"H", b"0", generation, far, b"1", b"id", b"no socket", frame),
            (b"H", b"0", b"no generation", far, b"1", b"id", b"", frame),
            (b"H", b"0", generation, far, b"1", b"id", b"", b"raw bytes"),
            (b"H", b"0", generation, far, b"1", b"id", b"", text_frame(frame_payload(frame) + b" ")),
            (b"H", b"0", generation, far),
            (b"D", generation, last),
            (b"D", b"", far),
            (b"K", generation, far),
            (b"K", generation, far, last),
            (b"U", generation, last, b"id"),
            (b"U", generation, far, b'id"'),
            (b"U", generation, far, b"id"),
        ):
            data = b" ".join(fields) if kind == b"H" else join_fields(fields)
            await write(one, "PUBLISH", topic, MAGIC + kind + data)
        await cluster.settle()
        assert names(client) == []
        assert "are none of ours and are dropped" in caplog.text
        assert "have an event that is not a single text frame and are dropped" in caplog.text

        caplog.clear()
        await write(one, "PUBLISH", topic, b" ".join((MAGIC + b"H0", generation, far, b"1", b"id", b"", frame)))
        await cluster.settle()
        assert names(client) == ["forged"]
        await check(cluster, one)
        assert "which this host has heard of: somebody else publishes on our topics" in caplog.text
        assert names(client) == [GAP]
        for kind, *fields in ((b"D", generation, far), (b"K", generation, far, b"0")):
            await write(one, "PUBLISH", topic, MAGIC + kind + join_fields(fields))
            await check(cluster, one)
        assert names(client) == [GAP]
        await publish(cluster, two, "b")
        assert names(client) == ["b"]


@pytest.mark.parametrize("end", ["deletion", "key", "unkept"])
async def test_a_lost_message_is_noticed_where_the_history_ends_behind_it(end: str) -> None:
    async with hosts() as (cluster, (one, two)):
        client, _ = await begun(cluster, one)
        await publish(cluster, two, "a")
        await check(cluster, one)
        peers, frame = two.stage.node.peers, messages.event("b", "news", "{}")
        take, one._take = one._take, lambda topic, data: None
        peers.publish("1", OutgoingEvent("news", frame, None, False, "lost", key_id="one"))
        await cluster.settle()
        one._take = take
        if end == "deletion":
            await cluster.ask(two.stage, HistoryDeletion("1", "news"))
        elif end == "key":
            peers.publish("1", OutgoingEvent("news", frame, None, False, "other", key_id="two"))
        else:
            peers.publish("1", OutgoingEvent("news", frame, None, False))
        found = await read_all(cluster, client)
        behind = {"deletion": [GAP], "key": [GAP, "b"], "unkept": ["b", GAP]}[end]
        assert names_of(found) == ["a", *behind]
        (gap,) = (message for message in found if message["event"] == GAP)
        assert msgspec.json.decode(gap["data"])["reason"] == ("unknown" if end == "unkept" else "deleted")
        await publish(cluster, two, "c")
        assert names(client) == ["c"]


# Keys


async def test_what_others_have_written_into_a_history_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async with hosts() as (cluster, (one, two)):
        _, position = await begun(cluster, one)
        await publish(cluster, one, "a")
        frame, far = messages.event("forged", "news", "{}"), 2**52
        for fields in (
            ("p", 1, "i", "not an id", "x", "", "f", frame),
            ("p", 1, "i", "id", "x", "no socket", "f", frame),
            ("p", 1, "i", "id", "x", "", "f", b"raw bytes"),
            ("p", 1, "i", "id", "x", "", "f", text_frame(frame_payload(frame) + b" ")),
        ):
            far += 1
            await write(one, "XADD", key(one, "s:news"), f"{far}-0", *fields)
        assert names_of(await resumed(cluster, two, position)) == [SUCCEEDED, "a"]
        assert "somebody else has written there" in caplog.text
        assert "DELETE /apps/1/channels/news/history" in caplog.text


@pytest.mark.parametrize(
    "junk", [("SET", "s:news", "x"), ("XADD", "s:news", "4503599627370497-0", "a", "b"), ("LPUSH", "u:news", "x")]
)
async def test_a_history_that_cannot_be_read_is_a_gap_and_no_end(
    junk: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    async with hosts() as (cluster, (one, two)):
        client, position = await begun(cluster, one)
        await publish(cluster, one, "a")
        assert names(client) == ["a"]
        command, name, *rest = junk
        if command == "SET":
            await write(one, "DEL", key(one, name))
        await write(one, command, key(one, name), *rest)
        nodes = one.redis.node, two.redis.node
        (answer,) = await resumed(cluster, two, position)
        assert answer["gap"] == "unknown"
        assert "DELETE /apps/1/channels/news/history" in caplog.text
        await cluster.ask(two.stage, HistoryDeletion("1", "news"))
        await publish(cluster, one, "b")
        assert names(client) == ["b"]
        assert nodes == (one.redis.node, two.redis.node)


async def test_keys_that_redis_has_forgotten_are_gaps(caplog: pytest.LogCaptureFixture) -> None:
    with running_redis("--maxmemory-policy", "allkeys-lru") as evicting:
        async with hosts(port=evicting.port) as (cluster, (one, two)):
            assert "maxmemory-policy allkeys-lru" in caplog.text
            assert "'CONFIG SET maxmemory-policy noeviction'" in caplog.text
            client, position = await begun(cluster, one)
            await publish(cluster, one, "a")
            assert names(client) == ["a"]
            await write(one, "DEL", key(one, "s:news"), key(one, "l:news"))
            assert (await resumed(cluster, two, position))[0]["gap"] == "unknown"
            await publish(cluster, two, "b")
            client.vanish()
            await cluster.settle()
            for host in (one, two):
                assert (await resumed(cluster, host, position))[0]["gap"] == "number"


@pytest.mark.parametrize("new_key", [False, True])
async def test_a_deletion_is_known_where_redis_has_forgotten_the_last_offset(new_key: bool) -> None:
    async with hosts() as (cluster, (one, two)):
        client, position = await begun(cluster, one)
        far, _ = await begun(cluster, two)
        one.stage.publish("news", "a", "{}", key_id="first")
        await cluster.settle()
        assert names(client) == names(far) == ["a"]
        await write(one, "DEL", key(one, "l:news"))
        if new_key:
            one.stage.publish("news", "b", "{}", key_id="second")
        else:
            await cluster.ask(two.stage, HistoryDeletion("1", "news"))
        await cluster.settle()
        for host in (one, two):
            assert (await resumed(cluster, host, position))[0]["gap"] == "deleted"
        assert await write(one, "XLEN", key(one, "s:news")) == new_key


async def test_a_bucket_that_has_forgotten_its_last_offset_begins_anew() -> None:
    async with hosts(RULES) as (cluster, (one,)):
        client, position = await begun(cluster, one)
        await write(one, "DEL", key(one, "top"))
        one.redis.on_beat()
        while one.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        one.redis.known = 0
        await come_back(cluster, one)
        assert names(client) == [GAP]
        await publish(cluster, one, "a")
        assert names(client) == ["a"]
        assert (await resumed(cluster, one, position))[0]["gap"] == "generation"


async def test_without_the_right_to_info_each_connection_is_a_gap_and_no_more(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    administrator: Any = redis.client()
    administrator.execute_command("ACL", "SETUSER", "default", "-info")
    try:
        async with hosts(port=redis.port) as (cluster, (one, two)):
            assert "does not let this host read INFO" in caplog.text
            assert "Each new connection to Redis is a gap in all histories. Give the Redis user" in caplog.text
            await settles_on_one_generation(cluster, one, two)
    finally:
        administrator.execute_command("ACL", "SETUSER", "default", "+info")


async def test_answers_do_not_wait_for_a_redis_that_takes_connections_only(redis: RedisServer) -> None:
    administrator: Any = redis.client()
    async with hosts(RULES, port=redis.port) as (cluster, (one,)):
        client, position = await begun(cluster, one)
        await publish(cluster, one, "a")
        client.vanish()
        await cluster.settle()
        publishing = one.registry._histories.publishing
        now = publishing._clock()
        publishing._clock = lambda: now
        administrator.config_set("maxmemory", 1)
        try:
            await lose_redis(one)
            now += history_publishing.WAIT
            while not one.redis.up:  # noqa: ASYNC110 - the test's own wait
                await asyncio.sleep(0)
            while one.redis.up:  # noqa: ASYNC110 - the test's own wait
                await asyncio.sleep(0)
            back = one.stage.connect()
            back.say("pusher:subscribe", {"channel": "news", "resume": position})
            (answer,) = back.read()
            assert answer["gap"] == "unknown"
        finally:
            administrator.config_set("maxmemory", 0)


async def test_hosts_with_different_rules_do_not_take_turns_in_beginning_anew() -> None:
    other = (HistorySettings(channels=("news", "old"), events=1_000),)
    async with hosts(RULES, other) as (cluster, (one, two)):
        await settles_on_one_generation(cluster, one, two)


@pytest.mark.parametrize("is_same_server", [True, False])
async def test_a_generation_of_another_server_is_not_taken_over(is_same_server: bool) -> None:
    async with hosts(RULES) as (cluster, (one,)):
        client, _ = await begun(cluster, one)
        life = (await write(one, "GET", key(one, "source")))[:40] if is_same_server else b"0" * 40
        await write(one, "MSET", key(one, "gen"), "another", key(one, "source"), life + b"of other rules")
        node = one.redis.node
        one.stage.publish("news", "a", "{}")
        one.redis.known = 0
        while one.redis.node == node:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        await come_back(cluster, one)
        assert (await write(one, "GET", key(one, "gen")) == b"another") == is_same_server
        assert GAP in names(client)


async def settles_on_one_generation(cluster: RedisCluster, one: Host, two: Host) -> None:
    """Check that a host that finds another generation takes it, and that both hosts then have one order of events."""
    generation, node = await write(one, "GET", key(one, "gen")), one.redis.node
    one.stage.publish("news", "before", "{}")
    one.redis.known = 0
    while one.redis.node == node:  # noqa: ASYNC110 - the test's own wait
        await asyncio.sleep(0)
    await come_back(cluster, one)
    assert await write(one, "GET", key(one, "gen")) == generation
    clients = [(await begun(cluster, host))[0] for host in (one, two)]
    await publish(cluster, one, "a")
    await publish(cluster, two, "b")
    assert names(clients[0]) == names(clients[1]) == ["a", "b"]


# Losses


async def test_events_that_could_not_be_kept_are_a_gap_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", 0.0)
    monkeypatch.setattr(publish_queue, "MAX_BYTES", 3_000)
    async with hosts() as (cluster, (one, two)):
        near, _ = await begun(cluster, one)
        far, position = await begun(cluster, two)
        one.relay.hold()
        one.redis.reconnect("a test")
        while one.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        one.redis.known = 0
        for number in range(30):
            one.stage.publish("news", str(number), "{}")
        assert names(near) == [str(number) for number in range(30)]
        one.relay.forget()
        one.relay.cut()
        await come_back(cluster, one)
        await check(cluster, two)
        await cluster.settle()
        (gap, *events), (own, *_) = await read_all(cluster, far), await read_all(cluster, near)
        assert (gap["event"], own["event"]) == (GAP, GAP)
        assert 0 < len(events) < 30
        assert (await resumed(cluster, two, position))[0]["gap"] == "generation"


@pytest.mark.parametrize("change", ["deletion", "unkept"])
async def test_a_deletion_that_waited_too_long_is_a_gap(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosts() as (cluster, (one, two)):
        _, position = await begun(cluster, two)
        await publish(cluster, two, "a")
        await lose_redis(one)
        if change == "deletion":
            one.stage.node.peers.ask(HistoryDeletion("1", "news"), lambda position: None)
        else:
            one.stage.node.peers.publish("1", OutgoingEvent("news", messages.event("b", "news", "{}"), None, False))
        monkeypatch.setattr(publish_queue, "MAX_AGE", -1.0)
        await come_back(cluster, one)
        assert (await resumed(cluster, two, position))[0]["gap"] == "generation"


async def test_a_loss_is_told_of_where_the_first_connection_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosts() as (cluster, (one, two)):
        client, _ = await begun(cluster, two)
        histories = one.registry._histories
        generations, life, adopted = histories.generations, histories.generations._life, []

        async def broken_once(bucket: bytes) -> tuple[bytes, bool]:
            monkeypatch.setattr(generations, "_life", life)
            one.relay.cut()
            return await life(bucket)

        async def take(renew: set[bytes]) -> None:
            adopted.append(generations.adopt)
            await type(generations).take(generations, renew=renew)

        monkeypatch.setattr(generations, "_life", broken_once)
        monkeypatch.setattr(generations, "take", take)
        histories.publishing.lost.add(BUCKET)
        generations.adopt = True
        await lose_redis(one)
        await come_back(cluster, one)
        assert adopted == [True, True]
        await check(cluster, two)
        assert names_of(await read_all(cluster, client)) == [GAP]


async def test_an_event_that_a_node_could_not_have_kept_is_a_gap() -> None:
    async with hosts() as (cluster, (one, two)):
        client, position = await begun(cluster, one)
        other, _ = await begun(cluster, two)
        await publish(cluster, one, "a")
        event = OutgoingEvent("news", messages.event("unkept", "news", "{}"), None, False)
        two.stage.node.peers.publish("1", event)
        await cluster.settle()
        assert names(client) == ["a", "unkept"]
        for host in (one, two):
            assert (await resumed(cluster, host, position))[0]["gap"] == "unknown"
        await publish(cluster, two, "b")
        assert names(client) == ["b"]
        assert names(other)[-1] == "b"


# Other settings


def configure(host: Host, rules: tuple[HistorySettings, ...]) -> None:
    apps = [msgspec.structs.replace(APP, history=rules)]
    host.registry.reconfigure(apps)
    host.stage.node.reconfigure(apps)


async def taken(cluster: RedisCluster, *hosts: Host) -> None:
    """Wait until hosts have the generations of other settings."""
    for host in hosts:
        await asyncio.gather(*host.registry._histories._tasks)
    await cluster.settle()


async def test_a_history_may_begin_and_end_while_it_is_used(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with hosts() as (cluster, (one, two)):
        client, before = await begun(cluster, one)
        (plain,) = (await subscribe(cluster, two.stage, "plain")).read()
        assert "position" not in plain
        stock = await cluster.join(two.stage, "plain")
        await publish(cluster, one, "0", channel="plain")
        for host in (one, two):
            configure(host, (*RULES, HistorySettings(channels=("plain",))))
            await publish(cluster, one, "at once", channel="plain")
        await taken(cluster, one, two)
        await publish(cluster, one, "1", channel="plain")
        events = await read_all(cluster, stock)
        assert [event["event"] for event in events] == ["0", "at once", "at once", "1"]
        place = events[-1]["position"]
        await publish(cluster, two, "2", channel="plain")
        assert names_of(await resumed(cluster, one, place, "plain")) == [SUCCEEDED, "2"]
        assert names_of(await read_all(cluster, client)) == [GAP]
        assert (await resumed(cluster, two, before))[0]["gap"] == "generation"

        for host in (one, two):
            configure(host, ())
        await taken(cluster, one, two)
        await publish(cluster, one, "a")
        await publish(cluster, two, "3", channel="plain")
        (event,) = await read_all(cluster, client)
        assert (event["event"], "position" in event) == ("a", False)
        assert names(stock) == ["2", "3"]
        (answer,) = await resumed(cluster, one, place, "plain")
        assert (answer["gap"], "position" in answer) == ("unknown", False)
        assert caplog.text == ""


async def test_settings_that_change_while_a_history_is_read_make_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosts() as (cluster, (one, two)):
        client, _ = await begun(cluster, one, "short")
        histories, asked = one.registry._histories, list[tuple[Any, ...]]()
        take, one._take = one._take, lambda topic, data: None
        await publish(cluster, two, "0", channel="short")
        one._take = take
        histories.resync(one.registry._apps["1"].channels["short"])
        with monkeypatch.context() as later:
            later.setattr(histories.reads, "ask", lambda *question: asked.append(question))
            histories.resync(one.registry._apps["1"].channels["short"])
        events = [str(number) for number in range(1, 300)]
        await publish(cluster, two, *events, channel="short")
        for question in asked:
            histories.reads.ask(*question)
        await cluster.settle()
        assert names(client) == ["0", *events]
        await publish(cluster, two, "300", channel="short")
        assert names(client) == ["300"]


async def test_another_age_holds_for_what_is_kept_already() -> None:
    short, long = (HistorySettings(channels=("news",), age=age) for age in (60, 20 * 86_400))
    async with hosts((short,)) as (cluster, (one,)):
        _, position = await begun(cluster, one)
        await publish(cluster, one, "a")
        for rule in (long, short):
            configure(one, (rule,))
            await taken(cluster, one)
            await publish(cluster, one, "b")
            # The life first: what is asked for later has less time left.
            life, stream = [await write(one, "PTTL", key(one, k)) for k in ("l:news", "s:news")]
            # Redis 7.0 looks at the clock for each command of a script, so a millisecond can lie between the two.
            assert rule.age * 1_000 < stream <= life + 1
            assert stream <= rule.age * 1_125
        assert names_of(await resumed(cluster, one, position)) == [SUCCEEDED, "a", "b", "b"]


async def test_who_resumes_while_a_history_begins_does_not_end_its_reading() -> None:
    async with hosts() as (cluster, (one, two)):
        stock, newcomer = await cluster.join(one.stage, "plain"), one.stage.connect()
        histories, take = one.registry._histories, one._take
        resync = histories.resync

        def resync_late(channel: SharedChannel) -> None:
            cluster.hold(one.stage)
            resync(channel)

        def join_at_once(topic: bytes, data: bytes) -> None:
            take(topic, data)
            if topic.endswith(b"plain"):
                newcomer.say("pusher:subscribe", {"channel": "plain", "resume": ""})

        histories.resync, one._take = resync_late, join_at_once
        for host in (two, one):
            configure(host, (*RULES, HistorySettings(channels=("plain",))))
            await asyncio.gather(*host.registry._histories._tasks)
        await publish(cluster, two, "a", channel="plain")
        cluster.release(one.stage)
        await cluster.settle()
        one._take = take
        await publish(cluster, two, "b", channel="plain")
        assert names(stock) == ["a", "b"]
        assert names(newcomer) == [SUCCEEDED, "b"]


async def test_a_history_begins_with_the_next_connection_if_redis_refuses_its_generation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with hosts() as (cluster, (one, two)):
        generations, rules = one.registry._histories.generations, (*RULES, HistorySettings(channels=("plain",)))
        stock = await cluster.join(one.stage, "plain")

        async def refuse(app_ids: list[str]) -> None:
            raise hiredis.ReplyError("OOM command not allowed when used memory > 'maxmemory'.")

        with monkeypatch.context() as refusing:
            refusing.setattr(generations, "take", refuse)
            configure(one, rules)
            able = one.stage.connect()
            able.say("pusher:subscribe", {"channel": "plain", "resume": ""})
            await asyncio.gather(*one.registry._histories._tasks)
        configure(two, rules)
        await asyncio.gather(*two.registry._histories._tasks)
        one.redis.known = 0
        await come_back(cluster, one)
        await publish(cluster, two, "a", channel="plain")
        assert names(stock) == ["a"]
        assert names(able)[-1] == "a"


@pytest.mark.parametrize("wait", [0.0, history_publishing.WAIT])
@pytest.mark.parametrize("begins_again", [False, True])
async def test_a_history_may_end_while_redis_is_away(
    wait: float, begins_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_publishing, "WAIT", wait)
    async with hosts(RULES) as (cluster, (one,)):
        stock = await cluster.join(one.stage, "news")
        one.relay.hold()
        one.redis.reconnect("a test")
        while one.redis.up:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0)
        one.stage.publish("news", "a", "{}")
        configure(one, ())
        assert names(stock) == ["a"]
        if begins_again:
            configure(one, RULES)
        one.relay.forget()
        one.relay.cut()
        one.redis.known = 0
        await come_back(cluster, one)
        await publish(cluster, one, "b")
        assert names(stock) == ["b"]

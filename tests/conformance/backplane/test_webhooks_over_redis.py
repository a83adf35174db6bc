"""Webhooks of several hosts: one of them sends each event, and another goes on where a dead one stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.backplane.cluster import leave
from conformance.backplane.history_hosts import lose_redis
from conformance.backplane.webhook_hosts import Senders, senders
from conformance.protocol.stage import Client
from soundpost.backplane.redis import webhook_logs
from soundpost.backplane.redis.buckets import bucket_of
from soundpost.backplane.redis.logged_events import arguments_of
from soundpost.backplane.redis.subscription_scripts import COUNT
from soundpost.backplane.redis.webhook_prelude import MAX_LOGGED
from soundpost.backplane.redis.webhook_scripts import ADD_EVENT
from soundpost.core.webhooks import WebhookEvent
from soundpost.wire import codes
from support.redis_process import RedisServer, running_redis

ROOM, OTHER = "presence-room", "presence-other"
OCCUPIED, VACATED = f"channel_occupied {ROOM}", f"channel_vacated {ROOM}"
ADDED, REMOVED = f"member_added {ROOM} ann", f"member_removed {ROOM} ann"


def typed(number: int) -> str:
    return f"client_event {ROOM} client-{number} ann"


async def ann_in(hosts: Senders, number: int, channel: str = ROOM) -> Client:
    return await hosts.cluster.join(hosts[number].host.stage, channel, user="ann")


async def test_one_host_sends_each_change_once_and_in_order() -> None:
    async with senders(3) as hosts:
        clients = [await hosts.cluster.connect(sender.host.stage) for sender in hosts.all]
        for client in clients:
            client.ask(ROOM, {"user_id": "ann"})
        assert await hosts.told() == [OCCUPIED, ADDED]
        for client in clients:
            leave(client, ROOM)
        assert await hosts.told() == []
        assert await hosts.told(3) == [REMOVED, VACATED]
        assert [sender.owns for sender in hosts.all] == [True, False, False]
        assert await hosts.log() == []


async def test_what_only_another_host_knows_comes_behind_what_it_told_before() -> None:
    async with senders(2) as hosts:
        client = await ann_in(hosts, 1)
        client.say("client-1", {"a": "b"}, channel=ROOM)
        client.say("client-2", {}, channel=ROOM)
        await hosts.settle()
        first = hosts.receiver.events[2]
        assert (first["data"], first["socket_id"]) == ('{"a": "b"}', client.socket_id)
        assert await hosts.told() == [OCCUPIED, ADDED, typed(1), typed(2)]


async def test_a_member_event_has_the_connection_and_the_info_of_the_user() -> None:
    async with senders(2) as hosts:
        client = await hosts.cluster.connect(hosts[1].host.stage)
        client.ask(ROOM, {"user_id": 7, "user_info": {"name": "é"}})
        await hosts.settle()
        leave(client, ROOM)
        await hosts.settle()
        hosts.time.pass_seconds(3)
        await hosts.settle()
        added, removed = (event for event in hosts.receiver.events if event["name"].startswith("member"))
        about = {"channel": ROOM, "user_id": "7", "user_info": {"name": "é"}, "socket_id": client.socket_id}
        for event, name in ((added, "member_added"), (removed, "member_removed")):
            assert {key: event[key] for key in (*about, "name")} == {**about, "name": name}
        assert added["id"] != removed["id"]
        assert added["time_ms"] <= removed["time_ms"]


@pytest.mark.parametrize("names", [("channel_vacated",), ("member_removed",)])
async def test_who_wants_the_end_of_a_state_only_is_told_of_it(names: tuple[str, ...]) -> None:
    async with senders(1, *names) as hosts:
        client = await ann_in(hosts, 0)
        assert await hosts.told() == []
        leave(client, ROOM)
        assert await hosts.told(3) == [VACATED if names == ("channel_vacated",) else REMOVED]


async def test_counts_are_told_if_somebody_wants_them() -> None:
    async with senders(2, "subscription_count", subscription_count=True) as hosts:
        await hosts.cluster.join(hosts[0].host.stage, "room")
        await hosts.cluster.join(hosts[1].host.stage, "room")
        await hosts.settle()
        assert [event["subscription_count"] for event in hosts.receiver.events] == [1, 2]


async def test_nothing_is_written_that_nobody_wants() -> None:
    async with senders(2, "client_event") as hosts:
        hosts.receiver.status = 500
        client = await ann_in(hosts, 1)
        client.say("client-1", {}, channel=ROOM)
        await hosts.settle()
        assert await hosts.log() == ["client_event"]
    async with senders(2) as hosts:
        hosts.all[0].host.redis.logged = {}
        assert hosts[0].host.redis.script(COUNT, bucket_of("1", ROOM))[2] == 1
        await ann_in(hosts, 0)
        assert await hosts.told() == []
        assert await hosts.log() == []


async def test_an_end_is_taken_back_by_who_comes_back_on_another_host() -> None:
    async with senders(3) as hosts:
        client = await ann_in(hosts, 1)
        assert await hosts.told() == [OCCUPIED, ADDED]
        client.vanish()
        assert await hosts.told(2.9) == []
        await ann_in(hosts, 2)
        assert await hosts.told(10) == []
        assert await hosts.log() == []


async def test_a_member_whose_grace_is_over_is_not_held_back_again() -> None:
    async with senders(2) as hosts:
        await ann_in(hosts, 0)
        client = await hosts.cluster.join(hosts[1].host.stage, ROOM, user="bob")
        await hosts.told()
        client.end(codes.GENERIC_RECONNECT, "")
        assert await hosts.told(5) == []
        await hosts.cluster.end_graces()
        assert await hosts.told() == [f"member_removed {ROOM} bob"]


# Another owner


async def test_what_a_dead_owner_had_not_sent_is_sent_by_another() -> None:
    async with senders(3) as hosts:
        client = await ann_in(hosts, 1)
        assert await hosts.told() == [OCCUPIED, ADDED]
        hosts.receiver.status = 0
        client.say("client-1", {}, channel=ROOM)
        client.say("client-2", {}, channel=ROOM)
        assert await hosts.told() == []

        hosts.receiver.status = 200
        await hosts.lose(0)
        assert await hosts.told(5) == [typed(1), typed(2)]
        assert [sender.owns for sender in hosts.all] == [True, False]
        assert await hosts.log() == []


async def test_what_a_dead_owner_may_have_sent_is_repeated_under_the_same_id() -> None:
    async with senders(2) as hosts:
        hosts.receiver.is_cut_off = True
        client = await ann_in(hosts, 1)
        client.say("client-1", {}, channel=ROOM)
        await hosts.settle()
        under_way = [event["id"] for event in hosts.receiver.events]
        hosts.receiver.is_cut_off = False
        await hosts.lose(0)
        await hosts.settle()
        ids = [event["id"] for event in hosts.receiver.events]
        assert ids[: len(under_way)] == ids[len(under_way) : 2 * len(under_way)] == under_way
        assert len(set(ids)) == 3
        assert await hosts.told() == [OCCUPIED, ADDED, typed(1)]


async def test_the_next_owner_knows_what_was_told_and_what_is_held_back() -> None:
    async with senders(3) as hosts:
        client = await ann_in(hosts, 1)
        await ann_in(hosts, 2, OTHER)
        assert len(await hosts.told()) == 4
        client.vanish()
        await hosts.settle()
        assert await hosts.log() == ["member_removed", "channel_vacated"]

        await hosts.lose(0)
        await ann_in(hosts, 0, OTHER)
        assert await hosts.told(2.9) == []
        assert await hosts.told(0.2) == [REMOVED, VACATED]
        await ann_in(hosts, 0)
        assert await hosts.told(5) == [OCCUPIED, ADDED]


async def test_who_comes_back_after_the_owner_has_died_was_never_gone() -> None:
    async with senders(3) as hosts:
        client = await ann_in(hosts, 1)
        await hosts.told()
        client.vanish()
        await hosts.settle()
        await hosts.lose(0)
        await ann_in(hosts, 1)
        assert await hosts.told(60) == []
        assert await hosts.log() == []


async def test_who_comes_back_after_a_dead_owner_may_have_told_of_the_end_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_logs, "_HELD", 0)  # the time of Redis does not pass
    async with senders(3) as hosts:
        client = await ann_in(hosts, 1)
        await ann_in(hosts, 2, OTHER)
        await hosts.told()
        client.vanish()
        await hosts.settle()
        hosts.receiver.is_cut_off = True
        assert await hosts.told(3) == [REMOVED, VACATED]
        await ann_in(hosts, 2)
        await hosts.settle()
        hosts.receiver.is_cut_off = False
        await hosts.lose(0)
        assert await hosts.told(60) == [OCCUPIED, ADDED]
        assert await hosts.log() == []


async def test_a_dead_owner_is_replaced_with_all_its_own_members() -> None:
    async with senders(2) as hosts:
        await ann_in(hosts, 0)
        assert await hosts.told() == [OCCUPIED, ADDED]
        await hosts.lose(0)
        assert await hosts.told(5) == [REMOVED, VACATED]


async def test_an_owner_whose_lease_is_over_sends_nothing() -> None:
    """Its process stood still meanwhile."""
    async with senders(2) as hosts:
        first, second = hosts.all
        client = await ann_in(hosts, 1)
        await hosts.told()
        hosts.leases.now += 10  # without a timer
        assert not first.owns
        client.say("client-1", {}, channel=ROOM)
        attempts = hosts.receiver.attempts
        assert await hosts.told() == []
        assert hosts.receiver.attempts == attempts
        assert await hosts.log() == ["client_event"]

        await hosts.end_lease()
        second.owner.beat()
        assert await hosts.told() == [typed(1)]
        assert second.owns
        first.owner.beat()
        assert await hosts.told(60) == []
        assert first.dispatcher.notified_states("1") == []


async def test_an_owner_whose_lease_was_over_and_is_renewed_goes_on() -> None:
    async with senders(2) as hosts:
        client = await ann_in(hosts, 1)
        await hosts.told()
        hosts.leases.now += 10
        client.say("client-1", {}, channel=ROOM)
        assert await hosts.told() == []
        hosts[0].owner.beat()
        assert await hosts.told() == [typed(1)]


async def test_an_owner_that_stops_leaves_the_logs_to_another_at_once() -> None:
    async with senders(2) as hosts:
        client = await ann_in(hosts, 1)
        await hosts.told()
        await hosts[0].webhooks.stop()
        client.say("client-1", {}, channel=ROOM)
        await hosts.next_owner()
        assert await hosts.told() == [typed(1)]
        assert [sender.owns for sender in hosts.all] == [False, True]


async def test_an_app_without_webhooks_any_more_is_left_to_others() -> None:
    async with senders(2) as hosts:
        hosts[0].host.registry.reconfigure([])
        await hosts.settle()
        assert not hosts[0].owns
        await hosts.next_owner()
        assert hosts[1].owns


# The endpoint, and Redis, come and go


async def test_an_endpoint_that_is_away_gets_all_in_order_later() -> None:
    async with senders(2) as hosts:
        hosts.receiver.status = 503
        client = await ann_in(hosts, 1)
        for number in range(5):
            client.say(f"client-{number}", {}, channel=ROOM)
        assert await hosts.told(100) == []
        assert len(await hosts.log()) == 7
        hosts[0].owner.beat()
        hosts.receiver.status = 200
        await hosts.settle()
        assert await hosts.told(60) == [OCCUPIED, ADDED, *map(typed, range(5))]
        assert await hosts.log() == []


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


async def kill(hosts: Senders, redis: RedisServer) -> None:
    """Kill Redis."""
    redis.stop()
    while any(sender.host.redis.up for sender in hosts.all):  # noqa: ASYNC110 - the test's own wait
        await asyncio.sleep(0.001)


async def start_empty(hosts: Senders, redis: RedisServer) -> None:
    """Start Redis, which has nothing, and wait until all hosts are connected."""
    redis.start()
    for sender in hosts.all:
        await sender.host.flows()
    await hosts.settle()


async def come_back(hosts: Senders, *numbers: int) -> None:
    """Cut the connections of hosts, and wait until they are connected again."""
    for number in numbers:
        await lose_redis(hosts[number].host)
    for number in numbers:
        await hosts[number].host.flows()
    await hosts.settle()


async def test_after_redis_was_emptied_only_who_is_gone_is_told_to_be(redis: RedisServer) -> None:
    async with senders(3, port=redis.port) as hosts:
        await ann_in(hosts, 1)
        gone = await ann_in(hosts, 2, OTHER)
        assert len(await hosts.told()) == 4
        await kill(hosts, redis)
        gone.vanish()
        hosts[2].host.stage.turn()
        await start_empty(hosts, redis)
        assert await hosts.told(29) == []
        assert await hosts.told(2) == [f"member_removed {OTHER} ann", f"channel_vacated {OTHER}"]
        assert await hosts.told(100) == []
        await ann_in(hosts, 2, OTHER)
        assert await hosts.told(100) == [f"channel_occupied {OTHER}", f"member_added {OTHER} ann"]


async def test_an_emptied_redis_has_what_was_told_for_the_next_owner(redis: RedisServer) -> None:
    async with senders(2, port=redis.port) as hosts:
        client = await ann_in(hosts, 1)
        await hosts.told()
        await kill(hosts, redis)
        await start_empty(hosts, redis)
        assert await hosts.told(60) == []
        assert [sender.owns for sender in hosts.all] == [True, False]
        await hosts.lose(0)
        client.vanish()
        assert await hosts.told(5) == [REMOVED, VACATED]


async def test_what_waited_for_the_endpoint_is_sent_once_after_redis_was_emptied(redis: RedisServer) -> None:
    async with senders(2, port=redis.port) as hosts:
        hosts.receiver.status = 503
        client = await ann_in(hosts, 1)
        client.say("client-1", {}, channel=ROOM)
        await hosts.settle()
        await kill(hosts, redis)
        client.say("client-2", {}, channel=ROOM)
        await start_empty(hosts, redis)
        hosts.receiver.status = 200
        assert await hosts.told(60) == [OCCUPIED, ADDED, typed(1), typed(2)]
        assert await hosts.told(60) == []


@pytest.mark.parametrize("is_emptied", [True, False])
async def test_who_came_and_went_while_redis_was_away_is_told(redis: RedisServer, is_emptied: bool) -> None:
    async with senders(2, port=redis.port) as hosts:
        await ann_in(hosts, 0, OTHER)
        await hosts.told()
        if is_emptied:
            await kill(hosts, redis)
        else:
            await lose_redis(hosts[1].host)
        for channel in (ROOM, OTHER):
            client = hosts[1].host.stage.connect()
            client.ask(channel, {"user_id": "ann"})
            client.say("client-1", {}, channel=channel)
            hosts[1].host.stage.turn()
            client.vanish()
            hosts[1].host.stage.turn()
        if is_emptied:
            redis.start()
        for sender in hosts.all:
            await sender.host.flows()
        of_room, of_other = [OCCUPIED, ADDED, typed(1)], [f"client_event {OTHER} client-1 ann"]
        assert await hosts.told() in (of_room + of_other, of_other + of_room)  # each channel's in order
        assert sorted(await hosts.told(5)) == sorted([REMOVED, VACATED])
        assert await hosts.told(60) == []


async def test_who_came_while_redis_was_away_and_leaves_before_what_waited_is_sent_does_not_stay(
    redis: RedisServer,
) -> None:
    async with senders(2, port=redis.port) as hosts:
        await kill(hosts, redis)
        host = hosts[1].host
        client = host.stage.connect()
        client.ask(ROOM, {"user_id": "ann"})
        client.say("client-1", {}, channel=ROOM)
        host.stage.turn()
        redis.start()
        while not host.redis.up or host.redis.is_connecting:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0.001)
        assert not host.registry.reaches_all
        client.vanish()
        host.stage.turn()
        for sender in hosts.all:
            await sender.host.flows()
        assert await hosts.told() == [OCCUPIED, ADDED, typed(1)]
        assert sorted(await hosts.told(60)) == sorted([REMOVED, VACATED])
        assert await hosts.log() == []


async def test_a_crowd_that_comes_back_takes_all_its_ends_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_logs, "MAX_OPEN", 2_000)
    async with senders(2) as hosts:
        client = await hosts.cluster.connect(hosts[1].host.stage)
        for _ in range(2):
            for number in range(20):
                client.ask(f"room-{number}")
            begun = await hosts.told()
            for number in range(20):
                leave(client, f"room-{number}")
            await hosts.settle()
        assert begun == []
        assert len(await hosts.log()) == 20
        assert len(await hosts.told(3)) == 20
        assert await hosts.log() == []


@pytest.mark.parametrize("hours", [-1, 1])
async def test_the_clock_of_the_owner_may_be_wrong(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    async with senders(2) as hosts:
        client = await ann_in(hosts, 1)
        assert await hosts.told() == [OCCUPIED, ADDED]
        now = time.time_ns() + hours * 3_600_000_000_000
        monkeypatch.setattr(time, "time_ns", lambda: now)
        client.say("client-1", {}, channel=ROOM)
        assert await hosts.told() == [typed(1)]


async def test_hosts_add_what_happened_while_redis_was_away_once() -> None:
    async with senders(2) as hosts:
        client = await ann_in(hosts, 1)
        await hosts.told()
        host = hosts[1].host
        host.relay.hold()
        client.say("client-1", {}, channel=ROOM)
        await asyncio.sleep(0)
        host.relay.release()
        await lose_redis(host)  # the answer is lost
        client.say("client-2", {}, channel=ROOM)
        await host.flows()
        assert await hosts.told() == [typed(1), typed(2)]
        ids = [event["id"] for event in hosts.receiver.events]
        assert len(ids) == len(set(ids))


async def test_an_end_that_is_due_while_redis_is_away_waits_for_who_comes_back() -> None:
    async with senders(2) as hosts:
        client = await ann_in(hosts, 1)
        gone = await hosts.cluster.join(hosts[1].host.stage, ROOM, user="bob")
        await hosts.told()
        client.vanish()
        gone.vanish()
        await hosts.settle()
        host = hosts[0].host
        hosts.cluster.hold(host.stage)
        host.relay.forget()
        await lose_redis(host)
        await ann_in(hosts, 1)
        assert await hosts.told(4) == []
        hosts.cluster.release(host.stage)
        await come_back(hosts, 0)
        assert await hosts.told(4) == [f"member_removed {ROOM} bob"]


async def test_an_owner_that_was_cut_off_for_a_moment_repeats_nothing() -> None:
    async with senders(2) as hosts:
        hosts.receiver.is_cut_off = True
        client = await ann_in(hosts, 1)
        await hosts.settle()
        attempts = hosts.receiver.attempts
        await come_back(hosts, 0)
        client.say("client-1", {}, channel=ROOM)
        await hosts.settle()
        assert hosts.receiver.attempts == attempts


async def test_who_owned_the_logs_before_another_one_begins_anew() -> None:
    async with senders(2) as hosts:
        first, second = hosts.all
        client = await ann_in(hosts, 1)
        await hosts.told()
        hosts.leases.now += 10
        await hosts.end_lease()
        second.owner.beat()
        await hosts.settle()
        client.vanish()
        assert await hosts.told(5) == [REMOVED, VACATED]
        await hosts.end_lease()
        first.owner.beat()
        await hosts.settle()
        assert first.owns
        assert await hosts.told(60) == []
        await ann_in(hosts, 0)
        assert await hosts.told() == [OCCUPIED, ADDED]


async def test_what_is_in_a_log_and_is_no_event_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async with senders(1) as hosts:
        bucket = bucket_of("1", ROOM)
        fields = {"n": "channel_occupied", "c": ROOM, "u": "", "v": "", "s": "", "f": "", "i": ""}
        for wrong in ({"n": "explode"}, {"n": "member_added", "v": "x"}, {"c": b"\xff"}, {"i": "x y"}, {"i": "id 1"}):
            entry = [part for pair in (fields | wrong).items() for part in pair]
            await hosts.write(bucket, "XADD", hosts.key(bucket, "hooks"), "*", *entry)
        await hosts.write(bucket, "XADD", hosts.key(bucket, "hooks"), "*", "a", "b")
        await ann_in(hosts, 0)
        assert await hosts.told() == [OCCUPIED, ADDED]
        assert await hosts.log() == []
        assert "the log of webhooks of app 1 has an entry" in caplog.text


async def test_a_log_that_is_full_drops_its_oldest_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    bucket = bucket_of("1", ROOM)
    async with senders(1) as hosts:
        hosts[0].owner._terms["1"].logs._logs[bucket].is_owned = False  # nobody reads
        script = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'n', i) end"
        await hosts.write(bucket, "EVAL", script, 1, hosts.key(bucket, "hooks"), MAX_LOGGED)
        event = WebhookEvent("client_event", ROOM, "", b'{"name":"client_event"}', 0)
        await hosts[0].host.redis.ask_script(ADD_EVENT, bucket, *arguments_of(event, b"one"))
        assert await hosts.write(bucket, "XLEN", hosts.key(bucket, "hooks")) == MAX_LOGGED * 99 // 100
        await hosts.write(bucket, "XTRIM", hosts.key(bucket, "hooks"), "MAXLEN", 1)
        hosts[0].owner.beat()
        await hosts.settle()
        assert "webhooks of app 1: 201 event(s) are dropped" in caplog.text


async def test_large_events_are_read_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = bucket_of("1", ROOM)
    async with senders(1) as hosts:
        logs = hosts[0].owner._terms["1"].logs
        monkeypatch.setattr(webhook_logs, "_PAGE_SIZE", 3_000)
        read = logs._have_read
        sizes: list[int] = []

        def note(number: int, each: webhook_logs._Log, answer: Any) -> None:
            sizes.append(sum(len(text) for _, fields in answer[1] for text in fields))
            read(number, each, answer)

        monkeypatch.setattr(logs, "_have_read", note)
        logs._logs[bucket].is_owned = False  # nobody reads meanwhile
        lengths = [900] * 8 + [5_000] + [900] * 2
        for number, length in enumerate(lengths):
            body = f'{{"name":"client_event","channel":"{ROOM}","event":"client-{number}","data":"{"x" * length}"}}'
            event = WebhookEvent("client_event", ROOM, "", body.encode(), 0)
            await hosts[0].host.redis.ask_script(ADD_EVENT, bucket, *arguments_of(event, str(number).encode()))
        hosts[0].owner.beat()
        assert [each.split()[2] for each in await hosts.told(5)] == [
            f"client-{number}" for number in range(len(lengths))
        ]
        assert sum(sizes) > sum(lengths)
        assert sorted(sizes)[-1] > 5_000 > 3_000 >= sorted(sizes)[-2]
        assert await hosts.log() == []

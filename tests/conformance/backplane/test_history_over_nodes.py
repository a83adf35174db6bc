"""History and resumption over several nodes: whichever node has an event, and whichever a client comes back to."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from conformance.backplane.cluster import SUCCEEDED, Cluster, Start, read_all
from conformance.protocol.stage import Client, Message, Stage, decode_frames
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history import HistoryPage
from soundpost.core.peers import ChannelQuery, HistoryChannelsQuery, HistoryDeletion, HistoryQuery, IdempotencyKey
from soundpost.core.publishing import publish_once

RULES: Final = (
    HistorySettings(channels=("news", "private-*", "presence-*", "cache-kept"), events=1_000, rewind=10),
    HistorySettings(channels=("short",), events=5),
)
OFFSET: Final = 1 << 20
CACHE_MISS: Final = "pusher:cache_miss"


@pytest.fixture
async def cluster(start: Start) -> Cluster:
    return await start(history=RULES)


async def subscribe(cluster: Cluster, node: Stage, channel: str, resume: str | None = "", **fields: Any) -> Client:
    """Connect and subscribe; the answers wait to be read."""
    client = await cluster.connect(node)
    more = fields if resume is None else {"resume": resume, **fields}
    client.say("pusher:subscribe", {"channel": channel, "auth": client.auth(channel), **more})
    await cluster.settle()
    return client


async def publish(cluster: Cluster, node: Stage, channel: str, *names: str, **options: Any) -> None:
    for name in names:
        node.publish(channel, name, "{}", **options)
    await cluster.settle()


def names(messages: list[Message]) -> list[str]:
    return [message["event"] for message in messages]


def events_of(page: HistoryPage) -> list[str]:
    return [message["event"] for event in page.events for message in decode_frames(event.frame)]


async def test_all_nodes_have_one_order_and_the_same_bytes(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    clients = [await subscribe(cluster, node, "news", None) for node in cluster.nodes]
    for client in clients:
        await read_all(cluster, client)
    for number in range(20):
        first.publish("news", f"a{number}", "{}")
        second.publish("news", f"b{number}", "{}")
        third.publish("news", f"c{number}", "{}")
        if number % 5 == 0:
            await cluster.settle()
    got = [await read_all(cluster, client) for client in clients]
    assert got[0] == got[1] == got[2]
    assert len(got[0]) == 60
    offsets = [int(message["position"].split(".")[1]) for message in got[0]]
    assert offsets == sorted(set(offsets))


async def test_a_client_comes_back_to_another_node(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    client = await subscribe(cluster, first, "news")
    await publish(cluster, second, "news", "a", "b")
    got = await read_all(cluster, client)
    assert names(got) == [SUCCEEDED, "a", "b"]
    client.vanish()
    await publish(cluster, third, "news", "c", "d")
    for node in (second, third, first):  # without a subscriber of the channel at the time
        back = await subscribe(cluster, node, "news", got[-1]["position"])
        answer, *missed = await read_all(cluster, back)
        assert (answer["resumed"], answer["position"]) == (2, got[-1]["position"])
        assert names(missed) == ["c", "d"]
    await publish(cluster, second, "news", "e")
    assert names(await read_all(cluster, back)) == ["e"]


async def test_positions_of_the_subscription_and_of_the_channel_are_enough(cluster: Cluster) -> None:
    first, second, _ = cluster.nodes
    (answer,) = await read_all(cluster, await subscribe(cluster, first, "news"))
    (found,) = await cluster.ask(second, ChannelQuery("1", ["news"], ["position"]))
    await publish(cluster, second, "news", "a")
    for position in (answer["position"], found["position"]):
        back = await subscribe(cluster, second, "news", position)
        assert names(await read_all(cluster, back)) == [SUCCEEDED, "a"]
    (found,) = await cluster.ask(first, ChannelQuery("1", ["news"], ["position"]))
    back = await subscribe(cluster, second, "news", found["position"])
    (answer,) = await read_all(cluster, back)
    assert answer["resumed"] == 0


async def test_a_page_of_the_history_can_be_read_at_every_node(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    await publish(cluster, first, "news", "a", "b", "c")
    for node in (first, second, third):
        page: HistoryPage = await cluster.ask(node, HistoryQuery("1", "news", "", 10, 100_000))
        assert events_of(page) == ["a", "b", "c"]
        assert page.whole
        page = await cluster.ask(node, HistoryQuery("1", "news", "", 2, 100_000))
        assert (len(page.events), page.whole) == (2, False)
        page = await cluster.ask(node, HistoryQuery("1", "news", page.position, 2, 100_000))
        assert (len(page.events), page.whole) == (1, True)
        page = await cluster.ask(node, HistoryQuery("1", "news", "", 2, 100_000, newest_first=True))
        assert events_of(page) == ["c", "b"]
        page = await cluster.ask(node, HistoryQuery("1", "news", page.position, 2, 100_000))
        assert (page.events, page.whole, page.gap) == ([], True, None)


async def test_a_deleted_history_is_a_gap_for_whoever_missed_something(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    client = await subscribe(cluster, first, "news")
    await publish(cluster, second, "news", "a", "b")
    _, a, b = await read_all(cluster, client)
    await cluster.ask(third, HistoryDeletion("1", "news"))
    for node in (first, second):
        back = await subscribe(cluster, node, "news", a["position"])
        (told,) = await read_all(cluster, back)
        assert told["gap"] == "deleted"
        back = await subscribe(cluster, node, "news", b["position"])
        (told,) = await read_all(cluster, back)
        assert told["resumed"] == 0
    await publish(cluster, second, "news", "c")
    assert names(await read_all(cluster, client)) == ["c"]
    for node in (first, third):
        back = await subscribe(cluster, node, "news", a["position"])
        assert (await read_all(cluster, back))[0]["gap"] == "deleted"
        back = await subscribe(cluster, node, "news", b["position"])
        assert names(await read_all(cluster, back)) == [SUCCEEDED, "c"]


async def test_a_deletion_forgets_the_last_event_of_a_cache_channel_too(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    client = await subscribe(cluster, first, "cache-kept", None)
    await publish(cluster, second, "cache-kept", "a", "b")
    assert names(await read_all(cluster, client)) == [SUCCEEDED, CACHE_MISS, "a", "b"]
    await cluster.ask(third, HistoryDeletion("1", "cache-kept"))
    await cluster.settle()
    for node in cluster.nodes:
        back = await subscribe(cluster, node, "cache-kept", None)
        assert names(await read_all(cluster, back)) == [SUCCEEDED, CACHE_MISS]
        assert (await cluster.ask(node, ChannelQuery("1", ["cache-kept"], ["cache"])))[0]["cache"] is None
    await publish(cluster, second, "cache-kept", "c")
    assert names(await read_all(cluster, client)) == ["c"]
    assert names(await read_all(cluster, await subscribe(cluster, third, "cache-kept", None))) == [SUCCEEDED, "c"]


@pytest.mark.parametrize("channel", ["private-encrypted-a", "private-encrypted-cache-a"])
async def test_the_first_event_of_another_key_deletes_the_history(cluster: Cluster, channel: str) -> None:
    first, second, third = cluster.nodes
    client = await subscribe(cluster, first, channel)
    await publish(cluster, second, channel, "a", "b", key_id="old")
    await publish(cluster, third, channel, "no key named")
    a, *_, last = (await read_all(cluster, client))[-3:]
    await publish(cluster, third, channel, "c", key_id="new")
    await publish(cluster, first, channel, "d", key_id="new")
    assert names(await read_all(cluster, client)) == ["c", "d"]  # who has everything is told nothing
    for node in cluster.nodes:
        back = await subscribe(cluster, node, channel, a["position"])
        assert (await read_all(cluster, back))[0]["gap"] == "deleted"
        back = await subscribe(cluster, node, channel, last["position"])
        assert names(await read_all(cluster, back)) == [SUCCEEDED, "c", "d"]
        page: HistoryPage = await cluster.ask(node, HistoryQuery("1", channel, "", 10, 100_000))
        assert events_of(page) == ["c", "d"]


async def test_a_repeat_of_an_event_of_the_old_key_deletes_nothing(cluster: Cluster) -> None:
    first, second, _ = cluster.nodes
    key = IdempotencyKey("key", "digest", repeated=True)
    old = ("private-encrypted-a", "a", "{}", None, False, "old")
    publish_once(first.app, key, [old], lambda reception: None)
    await publish(cluster, second, "private-encrypted-a", "b", key_id="new")
    publish_once(first.app, key, [old], lambda reception: None)
    await cluster.settle()
    page: HistoryPage = await cluster.ask(second, HistoryQuery("1", "private-encrypted-a", "", 10, 100_000))
    assert events_of(page) == ["b"]


async def test_more_events_than_are_kept_are_a_gap(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    client = await subscribe(cluster, first, "short")
    for _ in range(5):
        await publish(cluster, second, "short", *["x"] * 100)
    _, *events = await read_all(cluster, client)
    assert len(events) == 500
    for node in (first, third):
        (told,) = await read_all(cluster, await subscribe(cluster, node, "short", events[5]["position"]))
        assert told["gap"] == "number"
        assert told["position"].split(".")[1] >= events[-1]["position"].split(".")[1]
        back = await subscribe(cluster, node, "short", events[-6]["position"])
        assert len(await read_all(cluster, back)) == 6


@pytest.mark.parametrize("text", ["?", "other.5", "far"])
async def test_places_that_cannot_be_known_are_gaps(cluster: Cluster, text: str) -> None:
    first, second, _ = cluster.nodes
    client = await subscribe(cluster, first, "news")
    await publish(cluster, first, "news", "a")
    position = (await read_all(cluster, client))[-1]["position"]
    generation, offset = position.split(".")
    resume = f"{generation}.{int(offset) + 10**12}" if text == "far" else text
    for node in (first, second):
        (told,) = await read_all(cluster, await subscribe(cluster, node, "news", resume))
        assert told["gap"] == ("generation" if text == "other.5" else "unknown")


async def test_the_last_events_first(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    await subscribe(cluster, first, "news")
    await publish(cluster, second, "news", "a", "b", "c")
    for node in (first, third):
        back = await subscribe(cluster, node, "news", "", rewind=2)
        answer, *events = await read_all(cluster, back)
        assert "resumed" not in answer
        assert names(events) == ["b", "c"]
        back = await subscribe(cluster, node, "news", answer["position"])
        assert names(await read_all(cluster, back)) == [SUCCEEDED, "b", "c"]
        back = await subscribe(cluster, node, "news", "", rewind=5)
        assert names(await read_all(cluster, back)) == [SUCCEEDED, "a", "b", "c"]


async def test_a_long_replay_meets_what_is_new(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    client = await subscribe(cluster, first, "news")
    (answer,) = await read_all(cluster, client)
    for start in range(0, 900, 100):
        await publish(cluster, second, "news", *[str(number) for number in range(start, start + 100)])
    for node in (first, third):
        back = await subscribe(cluster, node, "news", answer["position"])
        await publish(cluster, second, "news", "new")
        _, *events = await read_all(cluster, back)
        assert names(events)[:900] == [str(number) for number in range(900)]
        assert set(names(events)[900:]) == {"new"}
        offsets = [event["position"] for event in events]
        assert offsets == sorted(set(offsets))
        back.vanish()


async def test_events_of_the_excluded_socket_do_not_come_back(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    client = await subscribe(cluster, first, "news")
    (answer,) = await read_all(cluster, client)
    await publish(cluster, second, "news", "own", socket_id=client.socket_id)
    await publish(cluster, second, "news", "other")
    assert names(await read_all(cluster, client)) == ["other"]
    for node in (first, third):
        back = await subscribe(cluster, node, "news", answer["position"], was=[client.socket_id])
        assert names(await read_all(cluster, back)) == [SUCCEEDED, "other"]


async def test_the_last_event_of_a_cache_channel_is_a_replay_of_one(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    await publish(cluster, second, "cache-kept", "a", "b")
    for node in (first, second, third):
        client = await subscribe(cluster, node, "cache-kept")
        answer, last = await read_all(cluster, client)
        assert last["event"] == "b"
        generation, offset = last["position"].split(".")
        assert answer["position"] == f"{generation}.{int(offset) - 1}"
        back = await subscribe(cluster, node, "cache-kept", last["position"])
        assert names(await read_all(cluster, back)) == [SUCCEEDED]
        back = await subscribe(cluster, node, "cache-kept", answer["position"])
        assert names(await read_all(cluster, back)) == [SUCCEEDED, "b"]
    await publish(cluster, third, "cache-kept", "c")
    client = await subscribe(cluster, first, "cache-kept")
    assert names(await read_all(cluster, client)) == [SUCCEEDED, "c"]


async def test_an_own_last_event_does_not_come_back_after_a_gap(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    client = await subscribe(cluster, first, "cache-kept")
    await publish(cluster, second, "cache-kept", "mine", socket_id=client.socket_id)
    client.vanish()
    for node in (first, second, third):
        back = await subscribe(cluster, node, "cache-kept", "other.1", was=[client.socket_id])
        (answer,) = await read_all(cluster, back)
        assert answer["gap"] == "generation"
        answer, last = await read_all(cluster, await subscribe(cluster, node, "cache-kept", "other.1"))
        assert (answer["gap"], last["event"]) == ("generation", "mine")


async def test_ephemeral_events_reach_everybody_and_are_not_kept(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    client = await subscribe(cluster, first, "news")
    (answer,) = await read_all(cluster, client)
    second.publish("news", "brief", "{}", ephemeral=True)
    second.publish("news", "kept", "{}")
    got = await read_all(cluster, client)
    assert sorted(names(got)) == ["brief", "kept"]
    back = await subscribe(cluster, third, "news", answer["position"])
    assert names(await read_all(cluster, back)) == [SUCCEEDED, "kept"]


async def test_a_second_subscription_says_anew_where_to_go_on(cluster: Cluster) -> None:
    first, second, _ = cluster.nodes
    client = await subscribe(cluster, first, "news")
    await publish(cluster, second, "news", "a", "b")
    _, a, _ = await read_all(cluster, client)
    client.say("pusher:subscribe", {"channel": "news", "resume": a["position"]})
    answer, *events = await read_all(cluster, client)
    assert answer["resumed"] == 1
    assert names(events) == ["b"]
    await publish(cluster, second, "news", "c")
    assert names(await read_all(cluster, client)) == ["c"]


async def test_members_come_with_their_place_in_the_history(cluster: Cluster) -> None:
    first, second, _ = cluster.nodes
    await publish(cluster, second, "presence-room", "a")
    client = await cluster.connect(first)
    data = '{"user_id":"1"}'
    signed = {"auth": client.auth("presence-room", data), "channel_data": data}
    client.say("pusher:subscribe", {"channel": "presence-room", "resume": "", "rewind": 1, **signed})
    answer, event = await read_all(cluster, client)
    assert event["event"] == "a"
    assert '\\"count\\":1' in answer["data"] or '"count":1' in answer["data"]


async def test_every_node_knows_the_channels_with_kept_events(cluster: Cluster) -> None:
    first, *_ = cluster.nodes
    wanted = ["news", "private-a;b=c", "private-x@y", *(f"private-{number}" for number in range(300))]
    for name in (*wanted, "unkept"):
        first.publish(name, "e", "{}")
    await cluster.settle()
    first.node.peers.ask(HistoryDeletion("1", "private-7"), lambda position: None)
    await cluster.settle()
    for node in cluster.nodes:
        found: list[list[bytes]] = []
        node.node.peers.ask(HistoryChannelsQuery("1"), found.append)
        await cluster.settle()
        names = [name for part in found[0] for name in json.loads(part)]
        assert sorted(names) == sorted({*wanted} - {"private-7"})


async def test_a_request_that_is_repeated_at_another_node_is_kept_and_delivered_once(cluster: Cluster) -> None:
    clients = [await subscribe(cluster, node, "news") for node in cluster.nodes]
    key, events = IdempotencyKey("key", "digest"), [("news", name, "{}", None, False, None) for name in "ab"]
    publish_once(cluster.nodes[0].app, key, events, lambda reception: None)
    await cluster.settle()
    for node in cluster.nodes:
        publish_once(node.app, key._replace(repeated=True), events, lambda reception: None)
        await cluster.settle()
    publish_once(cluster.nodes[1].app, IdempotencyKey("other", "digest", True), events[:1], lambda reception: None)
    for client in clients:
        assert names(await read_all(cluster, client)) == [SUCCEEDED, "a", "b", "a"]
    found: list[HistoryPage] = []
    cluster.nodes[2].node.peers.ask(HistoryQuery("1", "news", "", 100, 100_000), found.append)
    await cluster.settle()
    assert events_of(found[0]) == ["a", "b", "a"]

"""Cache channels: the last event is kept for all nodes, and given to who subscribes on any."""

from __future__ import annotations

import json

import pytest

from conformance.backplane.cluster import ADDED, SUCCEEDED, Cluster, Start, names
from conformance.backplane.hub_cluster import one_order
from conformance.protocol.stage import Client
from soundpost.core.peers import ChannelQuery


async def subscribe(
    cluster: Cluster, client: Client, channel: str = "cache-room", user: str | None = None
) -> list[str]:
    """Return the names of the messages that a client got for its subscription."""
    client.ask(channel, None if user is None else {"user_id": user})
    await cluster.settle()
    return names(client)


async def test_the_last_event_is_given_right_after_the_confirmation_on_another_node(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    await cluster.join(a, "cache-room")
    for name in ("first", "last"):
        a.publish("cache-room", name, '{"n":1}')
    await cluster.settle()

    for node in (b, c, b):
        client = await cluster.connect(node)
        client.ask("cache-room")
        await cluster.settle()
        succeeded, last = client.read()
        assert succeeded["event"] == SUCCEEDED
        assert last == {"event": "last", "channel": "cache-room", "data": '{"n":1}'}


async def test_the_last_event_is_kept_without_any_subscriber(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    a.publish("cache-room", "last")
    await cluster.settle()

    client = await cluster.connect(b)
    assert await subscribe(cluster, client) == [SUCCEEDED, "last"]
    client.vanish()
    await cluster.settle()
    assert await subscribe(cluster, await cluster.connect(a)) == [SUCCEEDED, "last"]


async def test_an_empty_channel_is_a_cache_miss(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    assert await subscribe(cluster, await cluster.connect(a)) == [SUCCEEDED, "pusher:cache_miss"]
    a.publish("cache-hall", "e")
    await cluster.settle()
    assert await subscribe(cluster, await cluster.connect(b)) == [SUCCEEDED, "pusher:cache_miss"]


@one_order
@pytest.mark.parametrize("seed", range(20))
async def test_a_joiner_gets_the_last_event_and_what_follows_without_hole_or_repetition(
    cluster: Cluster, seed: int
) -> None:
    """However joining and publishing run into each other."""
    a, b, c = cluster.nodes
    witness = await cluster.join(a, "cache-room")
    neighbour = await cluster.join(c, "cache-room")
    client = await cluster.connect(c)
    for client_before in (witness, neighbour):
        client_before.read()

    for number in range(6):
        (a, b)[number % 2].publish("cache-room", str(number))
        if number == 3:
            client.ask("cache-room")
        for step in range(seed % 5):
            await cluster.progress(seed * 11 + number * 3 + step)
    await cluster.settle()

    everything = names(witness)
    succeeded, *got = names(client)
    assert succeeded == SUCCEEDED
    assert len(everything) == 6
    if got[0] == "pusher:cache_miss":
        assert got[1:] == everything
    else:
        assert got == everything[everything.index(got[0]) :]
    assert names(neighbour) == everything


@one_order
async def test_the_kept_event_is_the_last_one_in_the_order_of_all(cluster: Cluster) -> None:
    witness = await cluster.join(cluster.nodes[2], "cache-room")

    for number in range(9):
        cluster.nodes[number * 2 % 3].publish("cache-room", str(number))
        await cluster.progress(number)
    await cluster.settle()

    last, _ = witness.events()[-1]
    for node in cluster.nodes:
        assert await subscribe(cluster, await cluster.connect(node)) == [SUCCEEDED, last]


async def test_a_presence_cache_channel_gives_members_and_last_event(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    ann = await cluster.join(a, "presence-cache-room", user="ann")
    a.publish("presence-cache-room", "last")
    await cluster.settle()

    bob = await cluster.connect(b)
    bob.ask("presence-cache-room", {"user_id": "bob"})
    await cluster.settle()

    (succeeded, data), (last, _) = bob.events()
    assert (succeeded, last) == (SUCCEEDED, "last")
    assert sorted(data["presence"]["ids"]) == ["ann", "bob"]
    assert names(ann) == ["last", ADDED]


async def test_client_events_and_notices_are_not_kept(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    ann = await cluster.join(a, "presence-cache-room", user="ann")
    ann.say("client-typing", {}, channel="presence-cache-room")
    await cluster.settle()

    bob = await cluster.connect(b)
    assert await subscribe(cluster, bob, "presence-cache-room", "bob") == [SUCCEEDED, "pusher:cache_miss"]


async def test_who_subscribes_again_gets_the_last_event_again(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client = await cluster.join(b, "cache-room")
    a.publish("cache-room", "last")
    await cluster.settle()
    client.read()

    assert await subscribe(cluster, client) == [SUCCEEDED, "last"]


async def test_every_node_tells_the_last_event_when_asked(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    a.publish("cache-room", "last", '{"n":1}')
    await cluster.settle()

    for node in (a, b, c):
        (found,) = await cluster.ask(node, ChannelQuery("1", ["cache-room"], ["occupied", "cache"]))
        cached = json.loads(found["cache"])
        assert (found["occupied"], cached["event"], cached["data"]) == (False, "last", '{"n":1}')
        assert 0 < cached["ttl"] <= 1_800


async def kept(cluster: Cluster, channels: list[str]) -> list[str]:
    """Return the channels that keep an event."""
    found = await cluster.ask(cluster.nodes[1], ChannelQuery("1", channels, ["cache"]))
    return [channel for channel, attributes in zip(channels, found, strict=True) if attributes["cache"] is not None]


OTHERS = [f"cache-{number}" for number in range(100)]


async def test_beyond_max_cached_channels_the_longest_unchanged_is_forgotten_on_every_node(start: Start) -> None:
    cluster = await start(max_cached_channels=1)
    a, b, c = cluster.nodes
    await cluster.join(b, "cache-room")
    a.publish("cache-room", "last")
    await cluster.settle()

    for channel in OTHERS:
        c.publish(channel, "e")
    await cluster.settle()

    for node in (a, b, c):
        client = await cluster.connect(node)
        assert await subscribe(cluster, client) == [SUCCEEDED, "pusher:cache_miss"]
        assert await subscribe(cluster, client, OTHERS[-1]) == [SUCCEEDED, "e"]
    assert len(await kept(cluster, ["cache-room", *OTHERS])) <= 32  # several hosts keep 2 in each of 16 buckets


async def test_what_changes_again_and_again_is_not_forgotten(start: Start) -> None:
    cluster = await start(max_cached_channels=2)
    a, b, c = cluster.nodes

    for number, channel in enumerate(OTHERS):
        a.publish("cache-room", str(number))
        a.publish(channel, "e")
    await cluster.settle()

    for node in (b, c):
        assert await subscribe(cluster, await cluster.connect(node)) == [SUCCEEDED, "99"]


async def test_as_many_channels_as_may_keep_an_event_do(start: Start) -> None:
    cluster = await start(max_cached_channels=len(OTHERS))

    for turn, node in enumerate(cluster.nodes):
        for channel in OTHERS:
            node.publish(channel, str(turn))
        await cluster.settle()

    assert await kept(cluster, OTHERS) == OTHERS

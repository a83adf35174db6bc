"""Actions of a client while its subscription is on the way to the other nodes."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.backplane.cluster import ADDED, REMOVED, SUCCEEDED, Cluster, Start, leave, names
from conformance.backplane.hub_cluster import one_order
from conformance.protocol.stage import members_of, subscription_error_of
from soundpost.core.peers import ChannelQuery, ChannelsQuery, ConnectionsQuery

ROOM = "presence-room"


async def count(cluster: Cluster, channel: str) -> Any:
    """Return the number of subscriptions on all nodes together; None for none."""
    (found,) = await cluster.ask(cluster.nodes[1], ChannelQuery("1", [channel], ["subscription_count"]))
    return found.get("subscription_count")


async def test_a_client_that_vanishes_leaves_nothing_behind(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    watcher = await cluster.join(b, ROOM, user="watcher")
    client = await cluster.connect(a)

    client.ask(ROOM, {"user_id": "ann"})
    client.ask("room")
    client.vanish()
    a.turn()
    await cluster.settle()

    assert names(watcher) in ([], [ADDED, REMOVED])
    assert await cluster.ask(a, ChannelsQuery("1", "", ["user_count"])) == {ROOM: {"user_count": 1}}
    assert await cluster.ask(a, ConnectionsQuery("1")) == 1
    assert a.app.channels == {}


async def test_a_client_that_vanishes_when_its_channel_has_no_room_leaves_nothing_behind(start: Start) -> None:
    cluster = await start(max_presence_members=1)
    a, b, _ = cluster.nodes
    watcher = await cluster.join(b, ROOM, user="watcher")
    client = await cluster.connect(a)

    client.ask(ROOM, {"user_id": "ann"})
    client.vanish()
    a.turn()
    await cluster.settle()

    assert watcher.read() == []
    assert await count(cluster, ROOM) == 1
    assert a.app.channels == {}


async def test_a_client_that_vanishes_takes_no_events_from_who_comes_after_it(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    first, second = await cluster.connect(a), await cluster.connect(a)

    first.ask("room")
    first.vanish()
    a.turn()
    second.ask("room")
    await cluster.settle()
    assert names(second) == [SUCCEEDED]

    b.publish("room", "event", "{}")
    await cluster.settle()
    assert names(second) == ["event"]
    assert await count(cluster, "room") == 1


async def test_a_tab_that_vanishes_takes_nothing_from_the_users_other_tab(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    watcher = await cluster.join(b, ROOM, user="watcher")
    await cluster.join(a, ROOM, user="ann")
    watcher.read()
    tab = await cluster.connect(a)

    tab.ask(ROOM, {"user_id": "ann"})
    tab.vanish()
    a.turn()
    await cluster.settle()

    assert watcher.read() == []
    assert await count(cluster, ROOM) == 2


async def test_unsubscribing_at_once(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    watcher = await cluster.join(b, ROOM, user="watcher")
    client = await cluster.connect(a)

    client.ask(ROOM, {"user_id": "ann"})
    leave(client, ROOM)
    await cluster.settle()
    b.publish(ROOM, "e")
    await cluster.settle()

    assert names(client) == [SUCCEEDED]
    assert names(watcher) == [ADDED, REMOVED, "e"]
    assert await count(cluster, ROOM) == 1


async def test_leaving_and_coming_back_at_once(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client = await cluster.connect(a)

    client.ask("room")
    leave(client, "room")
    client.ask("room")
    await cluster.settle()
    b.publish("room", "e")
    await cluster.settle()

    assert names(client) == [SUCCEEDED, SUCCEEDED, "e"]
    assert await count(cluster, "room") == 1
    leave(client, "room")
    client.ask("room")
    await cluster.settle()
    assert names(client) == [SUCCEEDED]
    assert await count(cluster, "room") == 1


async def test_subscribing_twice_counts_once_and_is_confirmed_twice(cluster: Cluster) -> None:
    a, _, _ = cluster.nodes
    client = await cluster.connect(a)

    client.ask("room")
    client.ask("room")
    await cluster.settle()

    assert names(client) == [SUCCEEDED, SUCCEEDED]
    assert await count(cluster, "room") == 1
    leave(client, "room")
    assert await count(cluster, "room") == 0


async def test_subscribing_again_as_another_user(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    watcher = await cluster.join(b, ROOM, user="watcher")
    client = await cluster.connect(a)

    client.ask(ROOM, {"user_id": "ann"})
    client.ask(ROOM, {"user_id": "bob"})
    await cluster.settle()

    first, second = client.read()
    assert sorted(members_of([first])["ids"]) == ["ann", "watcher"]
    assert sorted(members_of([second])["ids"]) == ["bob", "watcher"]
    assert [(name, data["user_id"]) for name, data in watcher.events()] == [
        (ADDED, "ann"),
        (REMOVED, "ann"),
        (ADDED, "bob"),
    ]


async def test_subscribing_again_and_unsubscribing_before_that_is_answered(cluster: Cluster) -> None:
    client = await cluster.join(cluster.nodes[0], "room")

    client.ask("room")
    leave(client, "room")
    await cluster.settle()

    assert names(client) in ([], [SUCCEEDED])
    assert await count(cluster, "room") == 0


async def test_subscriptions_under_way_count_for_max_subscriptions(start: Start) -> None:
    cluster = await start(max_subscriptions=2)
    client = await cluster.connect(cluster.nodes[0])

    for channel in ("a", "b", "c"):
        client.ask(channel)
    await cluster.settle()

    messages = client.read()
    assert subscription_error_of(messages)["channel"] == "c"
    assert sorted(await cluster.ask(cluster.nodes[1], ChannelsQuery("1", "", []))) == ["a", "b"]


@pytest.mark.parametrize("late", [0, 1])
async def test_who_subscribes_again_is_told_of_nobody_twice(cluster: Cluster, late: int) -> None:
    """Whatever comes in the very moment: a member is in the new list, or added after it."""
    a, b, _ = cluster.nodes
    client = await cluster.join(a, ROOM, user="ann")
    bob = await cluster.connect(b)

    cluster.hold(cluster.nodes[late])
    client.ask(ROOM, {"user_id": "ann"})
    bob.ask(ROOM, {"user_id": "bob"})
    b.publish(ROOM, "e")
    await cluster.settle()
    cluster.release(cluster.nodes[late])
    await cluster.settle()

    present = {"ann"}
    events = client.events()
    for name, data in events:
        if name == SUCCEEDED:
            present = set(data["presence"]["ids"])
        elif name == ADDED:
            assert data["user_id"] not in present
            present.add(data["user_id"])
    assert present == {"ann", "bob"}
    assert [name for name, _ in events].count("e") == 1


@one_order
async def test_who_subscribes_again_gets_the_last_event_after_what_came_before_it(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client = await cluster.join(a, "cache-room")
    client.read()

    cluster.hold(a)
    client.ask("cache-room")
    for name in ("first", "second"):
        b.publish("cache-room", name)
    await cluster.settle()
    cluster.release(a)
    await cluster.settle()

    assert names(client) == ["first", "second", SUCCEEDED, "second"]

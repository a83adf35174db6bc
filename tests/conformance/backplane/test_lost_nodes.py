"""A node that dies without a word: what it had leaves everywhere, and the others go on."""

from __future__ import annotations

import pytest

from conformance.backplane.cluster import ADDED, COUNT, REMOVED, Cluster, Start, names
from conformance.backplane.hub_cluster import one_order
from conformance.protocol.stage import members_of
from soundpost.core.peers import ChannelQuery, ChannelsQuery, ConnectionsQuery, UsersQuery

ROOM = "presence-room"


async def test_the_members_of_a_lost_node_leave_everywhere_once(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watchers = [await cluster.join(node, ROOM, user=f"watcher {n}") for n, node in enumerate((a, b))]
    for user in ("ann", "bob", "ann", "carl"):
        await cluster.join(c, ROOM, user=user)
    for watcher in watchers:
        watcher.read()

    await cluster.lose(c)
    await cluster.settle()

    for watcher in watchers:
        events = watcher.events()
        assert {name for name, _ in events} == {REMOVED}
        assert sorted(data["user_id"] for _, data in events) == ["ann", "bob", "carl"]
    for node in (a, b):
        assert sorted(await cluster.ask(node, UsersQuery("1", ROOM))) == [b'"watcher 0"', b'"watcher 1"']


async def test_a_user_with_a_tab_on_another_node_stays(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    tab = await cluster.join(b, ROOM, user="ann")
    await cluster.join(c, ROOM, user="ann")
    watcher.read()

    await cluster.lose(c)
    await cluster.settle()
    assert watcher.read() == []

    tab.vanish()
    await cluster.settle()
    assert watcher.events() == [(REMOVED, {"user_id": "ann"})]


async def test_counts_shrink_and_are_announced(start: Start) -> None:
    cluster = await start(subscription_count=True)
    a, b, c = cluster.nodes
    client = await cluster.join(a, "room")
    await cluster.join(b, "room")
    for _ in range(3):
        await cluster.join(c, "room")
    client.read()

    await cluster.lose(c)
    await cluster.settle()

    assert client.events() == [(COUNT, {"subscription_count": 2})]
    assert await cluster.ask(b, ChannelQuery("1", ["room"], ["subscription_count"])) == [{"subscription_count": 2}]


async def test_channels_that_only_the_lost_node_had_are_vacated(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    await cluster.join(a, "room")
    await cluster.join(c, "room", "hall", "private-hall")
    await cluster.join(c, ROOM, user="ann")

    await cluster.lose(c)

    for node in (a, b):
        assert await cluster.ask(node, ChannelsQuery("1", "", ["subscription_count"])) == {
            "room": {"subscription_count": 1}
        }
        assert await cluster.ask(node, UsersQuery("1", ROOM)) == []


@one_order
async def test_connections_of_a_lost_node_are_released(start: Start) -> None:
    cluster = await start(max_connections=3, server_max_connections=3)
    a, b, c = cluster.nodes
    await cluster.connect(a)
    await cluster.connect(c)
    await cluster.connect(c)

    await cluster.lose(c)
    assert await cluster.ask(a, ConnectionsQuery("1")) == 1

    clients = [node.open() for node in (a, b, a)]
    await cluster.settle()
    assert sorted(str(client.admission) for client in clients) == ["admitted", "admitted", "server_full"]


async def test_a_full_channel_has_room_for_those_of_a_lost_node(start: Start) -> None:
    cluster = await start(max_presence_members=2)
    a, b, c = cluster.nodes
    await cluster.join(a, ROOM, user="ann")
    await cluster.join(c, ROOM, user="bob")

    await cluster.lose(c)
    await cluster.settle()

    await cluster.join(b, ROOM, user="carl")


@pytest.mark.parametrize("steps", range(0, 60, 4))
async def test_a_node_lost_in_the_middle_of_a_join_leaves_nothing_behind(cluster: Cluster, steps: int) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    client = await cluster.connect(c)

    client.ask(ROOM, {"user_id": "ann"})
    client.ask("room")
    for step in range(steps):
        await cluster.progress(step * 3)
    await cluster.lose(c)
    await cluster.settle()

    assert names(watcher) in ([], [ADDED, REMOVED])
    assert await cluster.ask(b, ChannelsQuery("1", "", ["user_count"])) == {ROOM: {"user_count": 1}}
    assert await cluster.ask(b, ConnectionsQuery("1")) == 1


async def test_events_reach_those_who_are_left(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    clients = [await cluster.join(node, "room") for node in (a, b)]
    await cluster.join(c, "room")

    a.publish("room", "before")
    await cluster.lose(c)
    b.publish("room", "after")
    await cluster.settle()

    for client in clients:
        assert sorted(name for name, _ in client.events()) == ["after", "before"]


async def test_a_publisher_is_answered_though_a_subscribers_node_is_lost(cluster: Cluster) -> None:
    a, _, c = cluster.nodes
    await cluster.join(c, "room")
    answered: list[bool] = []

    a.publish("room", "e")
    a.node.after_sending(lambda: answered.append(True))
    await cluster.lose(c)
    await cluster.settle()

    assert answered == [True]


async def test_the_last_event_of_a_cache_channel_outlives_its_node(cluster: Cluster) -> None:
    a, _, c = cluster.nodes
    await cluster.join(c, "cache-room")
    c.publish("cache-room", "last")
    await cluster.settle()

    await cluster.lose(c)
    client = await cluster.connect(a)
    client.ask("cache-room")
    await cluster.settle()

    assert names(client)[1:] == ["last"]


async def test_who_was_on_a_lost_node_comes_back_on_another(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    await cluster.join(c, ROOM, user="ann", info=1)
    await cluster.lose(c)
    await cluster.settle()
    watcher.read()

    await cluster.join(b, ROOM, user="ann", info=2)

    assert watcher.events() == [(ADDED, {"user_id": "ann", "user_info": 2})]


async def test_who_comes_back_before_the_loss_is_noticed_stays(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    await cluster.join(c, ROOM, user="ann")
    client = await cluster.connect(b)

    client.ask(ROOM, {"user_id": "ann"})
    await cluster.lose(c)
    await cluster.settle()

    present = {"watcher"}
    for name, data in watcher.events():
        (present.discard if name == REMOVED else present.add)(data["user_id"])
    assert "ann" in present
    assert len(await cluster.ask(a, UsersQuery("1", ROOM))) == 2


async def test_a_further_node_takes_part_in_everything(cluster: Cluster) -> None:
    a, _, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, "room", user="watcher")
    await cluster.lose(c)

    further = await cluster.add()
    client = await cluster.connect(further)
    client.ask(ROOM, {"user_id": "ann"})
    client.ask("room")
    await cluster.settle()

    messages = client.read()
    assert members_of([message for message in messages if message["channel"] == ROOM])["count"] == 2
    assert names(watcher) == [ADDED]
    for publisher, name in ((a, "of a survivor"), (further, "of the further one")):
        publisher.publish("room", name)
        await cluster.settle()
        assert [names(each) for each in (client, watcher)] == [[name], [name]]


async def test_one_node_after_the_other_is_lost(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    for node in (b, c):
        await cluster.join(node, ROOM, user="ann")
    watcher.read()

    await cluster.lose(b)
    await cluster.settle()
    assert watcher.read() == []
    await cluster.lose(c)
    await cluster.settle()

    assert watcher.events() == [(REMOVED, {"user_id": "ann"})]
    assert await cluster.ask(a, ConnectionsQuery("1")) == 1


async def test_all_others_are_lost_at_once(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    await cluster.join(b, ROOM, user="ann")
    await cluster.join(c, ROOM, user="ann")
    watcher.read()

    for node in (b, c):
        await cluster.lose(node)
    await cluster.settle()

    assert watcher.events() == [(REMOVED, {"user_id": "ann"})]

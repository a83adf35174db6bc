"""Occupied channels and their numbers of subscribers on all nodes together, the same from every node."""

from __future__ import annotations

from typing import Any

from conformance.backplane.cluster import COUNT, SUCCEEDED, Cluster, Start, leave, names
from conformance.protocol.stage import Client
from soundpost.core.peers import ChannelQuery, ChannelsQuery, ConnectionsQuery, UsersQuery

AT_ONCE = 100
"""Subscribers up to which a count is announced at once."""


def counts(client: Client) -> list[int]:
    """Return the counts that a client got since the last read."""
    return [data["subscription_count"] for name, data in client.events() if name == COUNT]


async def ask_all(cluster: Cluster, query: Any) -> Any:
    """Return the answer to a query, which must be the same from every node."""
    first, *others = [await cluster.ask(node, query) for node in cluster.nodes]
    assert all(answer == first for answer in others)
    return first


# Announcements


async def test_every_subscriber_is_told_how_many_all_nodes_have(start: Start) -> None:
    cluster = await start(subscription_count=True)
    clients = []
    for number, node in enumerate(cluster.nodes, 1):
        client = await cluster.connect(node)
        client.ask("room")
        await cluster.settle()
        clients.append(client)
        assert names(client) == [SUCCEEDED, COUNT]
        for other in clients[:-1]:
            assert counts(other) == [number]


async def test_those_who_stay_are_told_when_one_leaves_another_node(start: Start) -> None:
    cluster = await start(subscription_count=True)
    a, b, c = [await cluster.join(node, "room") for node in cluster.nodes]
    for client in (a, b, c):
        client.read()

    leave(b, "room")
    await cluster.settle()
    assert (counts(a), counts(b), counts(c)) == ([2], [], [2])
    c.vanish()
    await cluster.settle()
    assert counts(a) == [1]


async def test_no_counts_on_presence_channels_nor_where_the_app_wants_none(start: Start) -> None:
    wanted, unwanted = await start(subscription_count=True), await start(subscription_count=False)
    for cluster, channel in ((wanted, "presence-room"), (unwanted, "room")):
        a, b, _ = cluster.nodes
        client = await cluster.join(a, channel, user="ann")
        await cluster.join(b, channel, user="bob")
        assert counts(client) == []


async def test_large_counts_are_told_every_few_seconds(start: Start) -> None:
    cluster = await start(subscription_count=True)
    a, b, _ = cluster.nodes
    client = await cluster.join(a, "room")
    for _ in range(AT_ONCE - 1):
        b.connect().ask("room")
    await cluster.settle()
    assert counts(client)[-1] == AT_ONCE

    for _ in range(5):
        b.connect().ask("room")
    await cluster.settle()
    assert counts(client) == []
    await cluster.pass_seconds()
    await cluster.settle()
    assert counts(client) == [AT_ONCE + 5]
    await cluster.pass_seconds()
    await cluster.settle()
    assert counts(client) == []


# Questions


async def test_channels_of_all_nodes_are_listed_by_each(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    await cluster.join(a, "room")
    await cluster.join(b, "room", "hall")
    await cluster.join(c, "private-room")

    every = await ask_all(cluster, ChannelsQuery("1", "", ["subscription_count"]))
    some = await ask_all(cluster, ChannelsQuery("1", "room", []))

    assert every == {
        "room": {"subscription_count": 2},
        "hall": {"subscription_count": 1},
        "private-room": {"subscription_count": 1},
    }
    assert some == {"room": {}}


async def test_two_tabs_on_two_nodes_count_as_two_subscriptions_and_one_user(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    await cluster.join(a, "presence-room", user="ann")
    await cluster.join(b, "presence-room", user="ann")
    await cluster.join(c, "presence-room", user="bob")
    attributes = ["occupied", "user_count", "subscription_count"]

    one, unoccupied = await ask_all(cluster, ChannelQuery("1", ["presence-room", "presence-hall"], attributes))
    listed = await ask_all(cluster, ChannelsQuery("1", "presence-", ["user_count"]))
    users = await ask_all(cluster, UsersQuery("1", "presence-room"))

    assert one == {"occupied": True, "user_count": 2, "subscription_count": 3}
    assert unoccupied == {"occupied": False, "user_count": 0, "subscription_count": 0}
    assert listed == {"presence-room": {"user_count": 2}}
    assert sorted(users) == [b'"ann"', b'"bob"']


async def test_an_answer_has_what_its_node_did_before_it_asked(cluster: Cluster) -> None:
    a, _, _ = cluster.nodes
    client = await cluster.connect(a)

    client.ask("room")
    assert await cluster.ask(a, ChannelQuery("1", ["room"], ["subscription_count"])) == [{"subscription_count": 1}]
    leave(client, "room")
    assert await cluster.ask(a, ChannelQuery("1", ["room"], ["occupied"])) == [{"occupied": False}]


async def test_a_channel_is_vacated_when_the_last_node_has_left_it(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    clients = [await cluster.join(node, "presence-room", user="ann") for node in (a, b)]
    occupied = ChannelQuery("1", ["presence-room"], ["occupied"])

    for client, expected in zip(clients, (True, False), strict=True):
        leave(client, "presence-room")
        await cluster.settle()
        assert await ask_all(cluster, occupied) == [{"occupied": expected}]

    assert await ask_all(cluster, ChannelsQuery("1", "", [])) == {}
    assert await ask_all(cluster, UsersQuery("1", "presence-room")) == []


async def test_connections_of_all_nodes_are_counted(cluster: Cluster) -> None:
    clients = [await cluster.connect(node) for node in cluster.nodes for _ in range(2)]
    assert await ask_all(cluster, ConnectionsQuery("1")) == 6

    clients[0].vanish()
    clients[5].vanish()
    await cluster.settle()
    assert await ask_all(cluster, ConnectionsQuery("1")) == 4

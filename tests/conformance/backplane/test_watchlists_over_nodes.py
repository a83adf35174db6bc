"""Watchlists and signed-in users over several nodes: exact, whichever node a user is on."""

from __future__ import annotations

from itertools import pairwise

import pytest

from conformance.backplane.cluster import Cluster, Start
from conformance.protocol.stage import Client, Stage
from soundpost.core import users
from soundpost.wire import codes

EVENTS = "pusher_internal:watchlist_events"
Told = list[tuple[str, list[str]]]


async def sign_in(cluster: Cluster, node: Stage, user: str, *watchlist: str) -> Client:
    """Return a client that has signed in."""
    client = await cluster.connect(node)
    client.sign_in({"id": user, "watchlist": list(watchlist)})
    await cluster.settle()
    return client


async def told(cluster: Cluster, client: Client) -> Told:
    """Return what a client was told of its watchlist since the last call."""
    await cluster.settle()
    frames = [data["events"] for name, data in client.events() if name == EVENTS]
    return [(event["name"], sorted(event["user_ids"])) for events in frames for event in events]


async def test_who_is_online_on_any_node_is_told_after_the_sign_in(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    for node, user in ((a, "ann"), (b, "bob"), (c, "carl"), (c, "ann")):
        await sign_in(cluster, node, user)
    for node in cluster.nodes:
        client = await sign_in(cluster, node, "me", "ann", "bob", "carl", "dora")
        success, state = client.read()
        assert (success["event"], state["event"]) == ("pusher:signin_success", EVENTS)
        online, offline = state["data"]["events"]
        assert sorted(online["user_ids"]) == ["ann", "bob", "carl"]
        assert offline["user_ids"] == ["dora"]


async def test_only_the_first_connection_of_all_nodes_and_the_last_one_are_told(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watchers = [await sign_in(cluster, node, "me", "ann") for node in cluster.nodes]
    for watcher in watchers:
        assert await told(cluster, watcher) == [("offline", ["ann"])]

    tabs = []
    for node, expected in ((a, [("online", ["ann"])]), (b, []), (c, []), (c, [])):
        tabs.append(await sign_in(cluster, node, "ann"))
        assert [await told(cluster, watcher) for watcher in watchers] == [expected] * 3
    for tab, expected in zip(tabs, ([], [], [], [("offline", ["ann"])]), strict=True):
        tab.vanish()
        assert [await told(cluster, watcher) for watcher in watchers] == [expected] * 3


async def test_watchers_of_one_node_share_what_it_knows(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    first, second = await sign_in(cluster, a, "one", "ann", "bob"), await sign_in(cluster, a, "two", "bob", "ann")
    await sign_in(cluster, b, "ann")
    assert await told(cluster, first) == [("offline", ["ann", "bob"]), ("online", ["ann"])]
    assert await told(cluster, second) == [("offline", ["ann", "bob"]), ("online", ["ann"])]
    first.vanish()
    await cluster.settle()
    third = await sign_in(cluster, a, "three", "ann", "bob")
    assert await told(cluster, third) == [("online", ["ann"]), ("offline", ["bob"])]
    await sign_in(cluster, b, "bob")
    assert await told(cluster, second) == [("online", ["bob"])]
    assert await told(cluster, third) == [("online", ["bob"])]


async def test_watchers_that_come_and_go_at_once_are_told_right(cluster: Cluster) -> None:
    """The node asks for the same user again while the answer to a client that has gone is on its way."""
    a, b, _ = cluster.nodes
    clients = [await cluster.connect(a) for _ in range(4)]
    ann = await cluster.connect(b)
    clients[0].sign_in({"id": "me", "watchlist": ["ann"]})
    clients[0].vanish()
    a.turn()
    clients[1].sign_in({"id": "me", "watchlist": ["ann", "bob"]})
    ann.sign_in({"id": "ann"})
    clients[2].sign_in({"id": "me", "watchlist": ["bob"]})
    clients[3].sign_in({"id": "me", "watchlist": ["ann"]})
    await cluster.settle()
    last = [await told(cluster, client) for client in clients[1:]]
    assert states(last[0]) == {"ann": "online", "bob": "offline"}
    assert last[1] == [("offline", ["bob"])]
    assert states(last[2]) == {"ann": "online"}


def states(events: Told) -> dict[str, str]:
    """Return the last state of each user that was told."""
    return {user: name for name, user_ids in events for user in user_ids}


async def test_whatever_is_under_way_watchers_know_the_state_in_the_end(cluster: Cluster) -> None:
    for choice in range(8):
        user = f"user-{choice}"
        watchers: list[Client] = []
        tabs: list[Client] = []
        for step in range(choice, choice + 12):
            node = cluster.nodes[step % 3]
            client = await cluster.connect(node)
            if step % 4 == 3:
                client.sign_in({"id": f"watcher-{step}", "watchlist": [user]})
                watchers.append(client)
            elif tabs and step % 3 == choice % 3:
                tabs.pop().vanish()
            else:
                client.sign_in({"id": user})
                tabs.append(client)
            for progress in range(step % 5):
                await cluster.progress(step * 7 + progress)
        await cluster.settle()
        for watcher in watchers:
            events = await told(cluster, watcher)
            assert states(events) == {user: "online"}, (choice, events)
            assert all(before[0] != after[0] for before, after in pairwise(events)), events
        for tab in tabs:
            tab.vanish()
        for watcher in watchers:
            assert await told(cluster, watcher) == [("offline", [user])]


async def test_a_user_stays_online_while_the_server_has_sent_it_away(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await sign_in(cluster, a, "me", "ann", "bob")
    for user in ("ann", "bob"):
        tab = await sign_in(cluster, b, user)
        tab.end(codes.GENERIC_RECONNECT, "")
        await cluster.settle()
    await sign_in(cluster, c, "ann")
    await told(cluster, watcher)

    await cluster.end_graces()

    assert await told(cluster, watcher) == [("offline", ["bob"])]


async def test_a_user_who_has_come_back_may_go_at_once(cluster: Cluster) -> None:
    """The grace of the connection before is over with the sign-in."""
    a, b, c = cluster.nodes
    watcher = await sign_in(cluster, a, "me", "ann")
    (await sign_in(cluster, b, "ann")).end(codes.GENERIC_RECONNECT, "")
    await cluster.settle()
    back = await sign_in(cluster, c, "ann")
    await told(cluster, watcher)
    back.vanish()
    assert await told(cluster, watcher) == [("offline", ["ann"])]


async def test_a_user_whose_connections_are_ended_is_offline_at_once(start: Start) -> None:
    cluster = await start(presence_grace=60)
    a, b, c = cluster.nodes
    watcher = await sign_in(cluster, a, "me", "ann")
    (await sign_in(cluster, b, "ann")).vanish()
    await sign_in(cluster, c, "ann")
    await told(cluster, watcher)
    users.terminate(a.app, "ann")
    a.node.peers.terminate("1", "ann")
    assert await told(cluster, watcher) == [("offline", ["ann"])]


@pytest.mark.parametrize("how", ["lose", "retire"])
async def test_users_of_a_node_that_is_gone_are_offline_unless_they_are_elsewhere(cluster: Cluster, how: str) -> None:
    a, b, c = cluster.nodes
    watcher = await sign_in(cluster, a, "me", "ann", "bob", "carl")
    for node, user in ((b, "ann"), (b, "bob"), (c, "bob")):
        await sign_in(cluster, node, user)
    gone = await sign_in(cluster, b, "carl", "ann")
    await told(cluster, watcher)
    if how == "lose":
        await cluster.lose(b)
    else:
        await cluster.retire(b)
        await sign_in(cluster, c, "carl")
        assert await told(cluster, watcher) == []
        await cluster.end_graces()
    offline = states(await told(cluster, watcher))
    assert offline == ({"ann": "offline", "carl": "offline"} if how == "lose" else {"ann": "offline"})
    assert gone.is_open


async def test_a_watcher_that_is_gone_leaves_nothing_behind(cluster: Cluster) -> None:
    for node in cluster.nodes:
        client = await sign_in(cluster, node, "me", "ann", "bob")
        client.vanish()
        await cluster.settle()
        assert (node.app.watchlists, node.app.watched) == ({}, {})
    await sign_in(cluster, cluster.nodes[0], "ann")

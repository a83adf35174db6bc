"""Members: each user once, with any number of tabs, on any number of nodes."""

from __future__ import annotations

import pytest

from conformance.backplane.cluster import ADDED, REMOVED, SUCCEEDED, Cluster, Start, leave, names
from conformance.protocol.stage import Client, members_of, subscription_error_of
from soundpost.core.peers import UsersQuery

ROOM = "presence-room"


async def enter(cluster: Cluster, client: Client, user: str | int, info: object = None) -> list[dict[str, object]]:
    """Subscribe as a user; what the client got."""
    client.ask(ROOM, {"user_id": user, "user_info": info})
    await cluster.settle()
    return client.read()


async def test_here_lists_the_members_of_every_node(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    await cluster.join(a, ROOM, user="ann", info={"name": "Ann"})
    await cluster.join(b, ROOM, user="bob", info={"name": "Bob"})

    members = members_of(await enter(cluster, await cluster.connect(c), "carl", {"name": "Carl"}))

    assert members["count"] == 3
    assert sorted(members["ids"]) == ["ann", "bob", "carl"]
    assert members["hash"] == {"ann": {"name": "Ann"}, "bob": {"name": "Bob"}, "carl": {"name": "Carl"}}


async def test_member_added_once_on_every_node(cluster: Cluster) -> None:
    watchers = [await cluster.join(node, ROOM, user=f"watcher {n}") for n, node in enumerate(cluster.nodes)]
    for watcher in watchers:
        watcher.read()

    await cluster.join(cluster.nodes[1], ROOM, user="ann", info={"name": "Ann"})

    for watcher in watchers:
        assert watcher.events() == [(ADDED, {"user_id": "ann", "user_info": {"name": "Ann"}})]


async def test_a_joiner_is_not_told_of_itself(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    await cluster.join(a, ROOM, user="ann")

    alone_on_its_node = await enter(cluster, await cluster.connect(b), "bob")
    beside_others = await enter(cluster, await cluster.connect(b), "carl")

    assert [message["event"] for message in alone_on_its_node] == [SUCCEEDED]
    assert [message["event"] for message in beside_others] == [SUCCEEDED]


async def test_member_added_once_for_two_tabs_on_two_nodes(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")

    await cluster.join(b, ROOM, user="ann")
    second_tab = await enter(cluster, await cluster.connect(c), "ann")

    assert names(watcher) == [ADDED]
    assert members_of(second_tab)["count"] == 2


async def test_member_added_once_for_two_tabs_that_join_at_once(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    tabs = [await cluster.connect(b), await cluster.connect(c)]

    for tab in tabs:
        tab.ask(ROOM, {"user_id": "ann"})
    await cluster.settle()

    assert names(watcher) == [ADDED]
    for tab in tabs:
        assert members_of(tab.read())["hash"] == {"watcher": None, "ann": None}


@pytest.mark.parametrize("how", ["unsubscribes", "vanishes"])
async def test_member_removed_when_the_last_of_two_tabs_leaves_and_not_before(cluster: Cluster, how: str) -> None:
    watchers = [await cluster.join(node, ROOM, user=f"watcher {n}") for n, node in enumerate(cluster.nodes)]
    tabs = [await cluster.join(node, ROOM, user="ann") for node in cluster.nodes[1:]]
    for watcher in watchers:
        watcher.read()

    for tab, expected in zip(tabs, ([], [(REMOVED, {"user_id": "ann"})]), strict=True):
        if how == "vanishes":
            tab.vanish()
        else:
            leave(tab, ROOM)
        await cluster.settle()
        for watcher in watchers:
            assert watcher.events() == expected


async def test_the_info_of_the_first_tab_is_kept(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    first = await cluster.join(a, ROOM, user="ann", info={"tab": 1})
    await cluster.join(b, ROOM, user="ann", info={"tab": 2})
    first.vanish()
    await cluster.settle()

    members = members_of(await enter(cluster, await cluster.connect(c), "bob"))

    assert members["hash"] == {"ann": {"tab": 1}, "bob": None}


async def test_a_number_and_its_decimal_string_are_one_user(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")

    await cluster.join(b, ROOM, user=1)
    members = members_of(await enter(cluster, await cluster.connect(c), "1"))

    assert watcher.events() == [(ADDED, {"user_id": 1, "user_info": None})]
    assert members["hash"] == {"watcher": None, "1": None}
    assert sorted(await cluster.ask(a, UsersQuery("1", ROOM))) == [b'"watcher"', b"1"]


async def test_a_member_who_comes_back_on_another_node_is_told_again(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    ann = await cluster.join(b, ROOM, user="ann")
    ann.vanish()
    await cluster.settle()

    await cluster.join(c, ROOM, user="ann", info="new")

    assert watcher.events() == [
        (ADDED, {"user_id": "ann", "user_info": None}),
        (REMOVED, {"user_id": "ann"}),
        (ADDED, {"user_id": "ann", "user_info": "new"}),
    ]


async def test_who_comes_back_as_another_user_is_exchanged_on_other_nodes(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    client = await cluster.join(b, ROOM, user="ann")
    watcher.read()

    members = members_of(await enter(cluster, client, "bob"))

    assert watcher.events() == [(REMOVED, {"user_id": "ann"}), (ADDED, {"user_id": "bob", "user_info": None})]
    assert members["hash"] == {"watcher": None, "bob": None}


async def test_who_subscribes_again_is_told_who_is_here_on_all_nodes(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    client = await cluster.join(b, ROOM, user="ann")
    watcher.read()

    members = members_of(await enter(cluster, client, "ann"))

    assert members["hash"] == {"watcher": None, "ann": None}
    assert watcher.read() == []


async def test_max_presence_members_is_exact_when_all_nodes_join_at_once(start: Start) -> None:
    cluster = await start(max_presence_members=3)
    clients = [await cluster.connect(node) for node in cluster.nodes for _ in range(2)]

    for number, client in enumerate(clients):
        client.ask(ROOM, {"user_id": number})
    await cluster.settle()

    answers = [client.read() for client in clients]
    refused = [messages for messages in answers if messages[0]["event"] == "pusher:subscription_error"]
    assert len(refused) == 3
    for messages in refused:
        error = subscription_error_of(messages)
        assert (error["channel"], error["type"], error["status"]) == (ROOM, "LimitReached", 403)
        assert [message["data"]["code"] for message in messages if message["event"] == "pusher:error"] == [4004]
    assert len(await cluster.ask(cluster.nodes[0], UsersQuery("1", ROOM))) == 3


async def test_a_full_channel_takes_another_tab_of_a_member_from_any_node(start: Start) -> None:
    cluster = await start(max_presence_members=2)
    a, b, c = cluster.nodes
    await cluster.join(a, ROOM, user="ann")
    await cluster.join(b, ROOM, user="bob")

    await cluster.join(c, ROOM, user="ann")
    refused = await enter(cluster, await cluster.connect(c), "carl")

    assert subscription_error_of(refused)["type"] == "LimitReached"


async def test_a_full_channel_has_room_again_when_a_member_left_another_node(start: Start) -> None:
    cluster = await start(max_presence_members=1)
    a, b, _ = cluster.nodes
    ann = await cluster.join(a, ROOM, user="ann")
    ann.vanish()
    await cluster.settle()

    await cluster.join(b, ROOM, user="bob")


async def test_fifty_nodes_are_one(start: Start) -> None:
    cluster = await start(nodes=50)
    clients = [node.open() for node in cluster.nodes]
    await cluster.settle()
    for number, client in enumerate(clients):
        client.read()
        client.ask(ROOM, {"user_id": str(number)})
    await cluster.settle()
    for node in cluster.nodes[40:]:
        await cluster.lose(node)
    await cluster.settle()

    for client in clients[:40]:
        present: set[str] = set()
        for name, data in client.events():
            if name == SUCCEEDED:
                present = set(data["presence"]["ids"])
            elif name == ADDED:
                assert data["user_id"] not in present
                present.add(data["user_id"])
            else:
                present.remove(data["user_id"])
        assert present == {str(number) for number in range(40)}
    assert len(await cluster.ask(cluster.nodes[7], UsersQuery("1", ROOM))) == 40

"""Members whose connection the server sends away: nobody is told anything if they come back in time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from conformance.backplane.cluster import ADDED, REMOVED, SUCCEEDED, Cluster, Start, leave, names
from conformance.backplane.test_observers_over_nodes import Recorder, told
from conformance.protocol.stage import APP, Client, members_of, subscription_error_of
from soundpost.core.peers import ChannelQuery, ChannelsQuery, UsersQuery
from soundpost.wire import codes

ROOM = "presence-room"


def send_away(client: Client, code: int = codes.GENERIC_RECONNECT) -> None:
    """Have the server close a connection."""
    client.end(code, "Come back")


async def enter(cluster: Cluster, client: Client, user: str | int, info: Any = None) -> list[dict[str, Any]]:
    client.ask(ROOM, {"user_id": user, "user_info": info})
    await cluster.settle()
    return client.read()


async def attributes(cluster: Cluster, node: int = 0) -> dict[str, Any]:
    """Return what a node says about the room."""
    query = ChannelQuery("1", [ROOM], ["occupied", "user_count", "subscription_count"])
    (found,) = await cluster.ask(cluster.nodes[node], query)
    return dict(found)


@pytest.mark.parametrize("code", [codes.GENERIC_RECONNECT, codes.OVER_CAPACITY])
@pytest.mark.parametrize("back_on", [0, 1, 2])
async def test_nobody_is_told_of_a_member_who_is_back_in_time(cluster: Cluster, code: int, back_on: int) -> None:
    watchers = [await cluster.join(node, ROOM, user=f"watcher {n}") for n, node in enumerate(cluster.nodes)]
    ann = await cluster.join(cluster.nodes[1], ROOM, user="ann", info=1)
    for watcher in watchers:
        watcher.read()

    send_away(ann, code)
    await cluster.settle()
    assert await attributes(cluster) == {"occupied": True, "user_count": 4, "subscription_count": 3}
    members = members_of(await enter(cluster, await cluster.connect(cluster.nodes[back_on]), "ann", 1))
    await cluster.end_graces()
    await cluster.settle()

    assert members["count"] == 4
    assert [watcher.read() for watcher in watchers] == [[], [], []]
    assert await attributes(cluster) == {"occupied": True, "user_count": 4, "subscription_count": 4}


async def test_member_removed_once_at_the_end_of_the_grace(start: Start) -> None:
    cluster = await start(observer=Recorder)
    watchers = [await cluster.join(node, ROOM, user=f"watcher {n}") for n, node in enumerate(cluster.nodes)]
    ann = await cluster.join(cluster.nodes[1], ROOM, user="ann")
    for watcher in watchers:
        watcher.read()
    await told(cluster)

    send_away(ann)
    await cluster.settle()
    assert [watcher.read() for watcher in watchers] == [[], [], []]
    assert await told(cluster) == []

    for _ in range(2):
        await cluster.end_graces()
        await cluster.settle()
    assert [watcher.events() for watcher in watchers] == [[(REMOVED, {"user_id": "ann"})]] * 3
    assert await told(cluster) == [("removed", "ann")]
    assert await attributes(cluster) == {"occupied": True, "user_count": 3, "subscription_count": 3}


async def test_a_lingering_member_is_in_the_list_of_newcomers_and_in_the_answer_about_users(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    send_away(await cluster.join(b, ROOM, user="ann", info="here"))
    await cluster.settle()

    members = members_of(await enter(cluster, await cluster.connect(c), "bob"))

    assert members["hash"] == {"watcher": None, "ann": "here", "bob": None}
    assert sorted(await cluster.ask(a, UsersQuery("1", ROOM))) == [b'"ann"', b'"bob"', b'"watcher"']
    assert names(watcher) == [ADDED, ADDED]


async def test_the_lingering_members_of_a_channel_without_subscribers_are_in_the_list_of_the_first_who_is_back(
    cluster: Cluster,
) -> None:
    a, b, c = cluster.nodes
    tabs = {user: await cluster.join(b, ROOM, user=user) for user in ("ann", "bob")}
    for tab in tabs.values():
        send_away(tab)
    await cluster.settle()
    assert await attributes(cluster) == {"occupied": False, "user_count": 2, "subscription_count": 0}
    assert await cluster.ask(a, ChannelsQuery("1", "", ["user_count"])) == {}
    assert sorted(await cluster.ask(a, UsersQuery("1", ROOM))) == [b'"ann"', b'"bob"']

    first = await cluster.connect(c)
    assert members_of(await enter(cluster, first, "ann"))["count"] == 2
    assert members_of(await enter(cluster, await cluster.connect(a), "bob"))["count"] == 2
    await cluster.end_graces()
    await cluster.settle()

    assert first.read() == []


async def test_a_channel_whose_lingering_members_are_gone_is_as_if_it_had_never_been(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    send_away(await cluster.join(b, ROOM, user="ann"))
    await cluster.settle()
    await cluster.end_graces()

    assert await attributes(cluster) == {"occupied": False, "user_count": 0, "subscription_count": 0}
    members = members_of(await enter(cluster, await cluster.connect(a), "bob"))
    assert members["hash"] == {"bob": None}


async def test_the_new_info_of_a_member_who_is_back_is_taken_silently(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watchers = [await cluster.join(node, ROOM, user=f"watcher {n}") for n, node in enumerate(cluster.nodes)]
    ann = await cluster.join(b, ROOM, user=1, info="old")
    for watcher in watchers:
        watcher.read()

    send_away(ann)
    await cluster.settle()
    back = members_of(await enter(cluster, await cluster.connect(c), "1", "new"))

    assert back["hash"]["1"] == "new"
    assert [watcher.read() for watcher in watchers] == [[], [], []]
    for number, node in enumerate((a, b, c)):
        members = members_of(await enter(cluster, await cluster.connect(node), f"newcomer {number}"))
        assert members["hash"]["1"] == "new"
        assert "1" in members["ids"]


async def test_the_info_of_a_second_tab_is_kept_when_the_first_comes_back(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    first = await cluster.join(a, ROOM, user="ann", info=1)
    await cluster.join(b, ROOM, user="ann", info=2)
    send_away(first)
    await cluster.settle()

    members = members_of(await enter(cluster, await cluster.connect(c), "ann", 3))

    assert members["hash"] == {"ann": 1}


async def test_a_tab_that_leaves_does_not_take_along_the_tab_that_comes_back(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    first, second = await cluster.join(a, ROOM, user="ann"), await cluster.join(b, ROOM, user="ann")
    watcher.read()

    send_away(first)
    await cluster.settle()
    leave(second, ROOM)
    await cluster.settle()
    assert watcher.read() == []

    await cluster.end_graces()
    await cluster.settle()
    assert watcher.events() == [(REMOVED, {"user_id": "ann"})]


@pytest.mark.parametrize("how", ["unsubscribes", "is lost", "is silent", "is refused", "is terminated"])
async def test_who_is_not_expected_back_leaves_at_once(cluster: Cluster, how: str) -> None:
    a, b, _ = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    ann = await cluster.join(b, ROOM, user="ann")
    watcher.read()

    if how == "unsubscribes":
        leave(ann, ROOM)
    elif how == "is lost":
        ann.vanish()
    elif how == "is silent":
        send_away(ann, codes.PONG_NOT_RECEIVED)
    elif how == "is refused":
        send_away(ann, codes.UNAUTHORIZED)
    else:
        a.node.terminate("1", "ann")
        a.node.peers.terminate("1", "ann")
    await cluster.settle()

    assert watcher.events() == [(REMOVED, {"user_id": "ann"})]


async def test_a_user_whose_connections_are_terminated_leaves_at_once_if_it_lingers_too(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watchers = [await cluster.join(node, ROOM, user="watcher") for node in (a, c)]
    send_away(await cluster.join(b, ROOM, user="ann"))
    await cluster.settle()
    for watcher in watchers:
        watcher.read()

    b.node.peers.terminate("1", "ann")
    await cluster.settle()

    assert [watcher.events() for watcher in watchers] == [[(REMOVED, {"user_id": "ann"})]] * 2


async def test_the_members_of_a_disabled_app_leave_at_once(start: Start) -> None:
    cluster = await start(observer=Recorder)
    b = cluster.nodes[1]
    await cluster.join(b, ROOM, user="ann")
    await told(cluster)

    b.node.reconfigure([msgspec.structs.replace(APP, enabled=False)])

    assert await told(cluster) == [("removed", "ann"), ("vacated", ROOM)]


async def test_presence_grace_is_for_connections_that_are_lost_otherwise(start: Start) -> None:
    cluster = await start(presence_grace=5)
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    ann, bob = [await cluster.join(b, ROOM, user=user) for user in ("ann", "bob")]
    watcher.read()

    ann.vanish()
    bob.vanish()
    await cluster.settle()
    await cluster.join(c, ROOM, user="ann")
    assert watcher.read() == []
    await cluster.end_graces()
    await cluster.settle()

    assert watcher.events() == [(REMOVED, {"user_id": "bob"})]


async def test_unsubscribing_has_no_presence_grace(start: Start) -> None:
    cluster = await start(presence_grace=5)
    watcher = await cluster.join(cluster.nodes[0], ROOM, user="watcher")
    leave(await cluster.join(cluster.nodes[1], ROOM, user="ann"), ROOM)
    await cluster.settle()

    assert names(watcher) == [ADDED, REMOVED]


async def test_a_lingering_member_has_its_place_in_a_full_channel(start: Start) -> None:
    cluster = await start(max_presence_members=2)
    a, b, c = cluster.nodes
    await cluster.join(a, ROOM, user="watcher")
    send_away(await cluster.join(b, ROOM, user="ann"))
    await cluster.settle()

    refused = await enter(cluster, await cluster.connect(c), "bob")
    assert subscription_error_of(refused)["type"] == "LimitReached"
    await cluster.join(c, ROOM, user="ann")


async def test_who_is_sent_away_again_has_a_grace_again(cluster: Cluster) -> None:
    watcher = await cluster.join(cluster.nodes[0], ROOM, user="watcher")
    for node in (*cluster.nodes, *cluster.nodes):
        send_away(await cluster.join(node, ROOM, user="ann"))
        await cluster.settle()

    assert names(watcher) == [ADDED]
    await cluster.end_graces()
    await cluster.settle()
    assert names(watcher) == [REMOVED]


async def test_who_is_sent_away_while_joining_has_a_grace(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, ROOM, user="watcher")
    send_away(await cluster.join(b, ROOM, user="ann"))
    await cluster.settle()
    watcher.read()

    client = await cluster.connect(c)
    client.ask(ROOM, {"user_id": "ann"})
    send_away(client)
    await cluster.settle()

    assert watcher.read() == []
    await cluster.end_graces()
    await cluster.settle()
    assert names(watcher) == [REMOVED]


async def test_the_members_of_a_node_that_ends_have_a_grace(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watchers = [await cluster.join(node, ROOM, user=f"watcher {n}") for n, node in enumerate((a, b))]
    for user in ("ann", "bob", "ann"):
        await cluster.join(c, ROOM, user=user)
    for watcher in watchers:
        watcher.read()

    await cluster.retire(c)
    await cluster.settle()
    assert await attributes(cluster) == {"occupied": True, "user_count": 4, "subscription_count": 2}
    await cluster.join(b, ROOM, user="ann")
    assert [watcher.read() for watcher in watchers] == [[], []]

    await cluster.end_graces()
    await cluster.settle()
    assert [watcher.events() for watcher in watchers] == [[(REMOVED, {"user_id": "bob"})]] * 2


async def test_a_rolling_restart_tells_nobody_anything(start: Start) -> None:
    cluster = await start(max_presence_members=100)
    users = [f"user {number}" for number in range(12)]
    tabs = {user: await cluster.join(cluster.nodes[n % 3], ROOM, user=user) for n, user in enumerate(users)}
    heard: list[str] = []
    for tab in tabs.values():
        tab.read()
    for old in list(cluster.nodes):
        moved = [user for user, tab in tabs.items() if tab.stage is old]
        for user in moved:
            heard += names(tabs[user])
            send_away(tabs[user])
        await cluster.settle()
        await cluster.retire(old)
        await cluster.add()
        for number, user in enumerate(moved):
            tabs[user] = await cluster.connect(cluster.nodes[number % 3])
            messages = await enter(cluster, tabs[user], user)
            assert members_of(messages)["count"] == len(users)
            assert [message["event"] for message in messages] == [SUCCEEDED]
        for tab in tabs.values():
            heard += names(tab)
    await cluster.end_graces()
    await cluster.settle()

    assert heard == []
    assert [names(tab) for tab in tabs.values()] == [[]] * len(users)

"""Events about channels and members go to the observers of exactly one node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.backplane.cluster import Cluster, Start, leave
from soundpost.core.channel import Channel
from soundpost.core.observer import Observer

ROOM = "presence-room"


class Recorder(Observer):
    """An observer that notes events about channels and members."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def channel_occupied(self, app_id: str, channel: str) -> None:
        self.told.append(("occupied", channel))

    def channel_vacated(self, app_id: str, channel: str) -> None:
        self.told.append(("vacated", channel))

    def member_added(self, app_id: str, channel: str, user_id: str) -> None:
        self.told.append(("added", user_id))

    def member_removed(self, app_id: str, channel: str, user_id: str) -> None:
        self.told.append(("removed", user_id))

    def subscription_count(self, app_id: str, channel: str, count: int) -> None:
        self.told.append(("count", count))

    def cache_miss(self, channel: Channel) -> None:
        self.told.append(("cache_miss", channel.name))


async def told(cluster: Cluster) -> list[tuple[Any, ...]]:
    """Return the events that the observers of all nodes together got since the last call."""
    await cluster.settle()
    found: list[tuple[Any, ...]] = []
    for node in cluster.nodes:
        (recorder,) = node.node.observers
        assert isinstance(recorder, Recorder)
        found += recorder.told
        recorder.told.clear()
    return sorted(found)


@pytest.fixture
async def watched(start: Start) -> Cluster:
    """Three nodes with an observer each."""
    return await start(observer=Recorder)


async def test_a_channel_is_occupied_once_and_vacated_once(watched: Cluster) -> None:
    clients = []
    for node, expected in zip(watched.nodes, ([("occupied", "room")], [], []), strict=True):
        clients.append(await watched.join(node, "room"))
        assert await told(watched) == expected

    for client, expected in zip(clients, ([], [], [("vacated", "room")]), strict=True):
        client.vanish()
        assert await told(watched) == expected


async def test_a_channel_that_all_nodes_join_at_once_is_occupied_once(watched: Cluster) -> None:
    clients = [await watched.connect(node) for node in watched.nodes]

    for client in clients:
        client.ask(ROOM, {"user_id": "ann"})
    assert await told(watched) == [("added", "ann"), ("occupied", ROOM)]

    for client in clients:
        leave(client, ROOM)
    assert await told(watched) == [("removed", "ann"), ("vacated", ROOM)]


async def test_a_member_is_added_once_and_removed_once(watched: Cluster) -> None:
    a, b, c = watched.nodes
    await watched.join(a, ROOM, user="watcher")
    await told(watched)

    tabs = [await watched.join(node, ROOM, user="ann") for node in (b, c)]
    assert await told(watched) == [("added", "ann")]
    tabs[0].vanish()
    assert await told(watched) == []
    tabs[1].vanish()
    assert await told(watched) == [("removed", "ann")]


async def test_each_announced_count_is_told_once(start: Start) -> None:
    cluster = await start(observer=Recorder, subscription_count=True)
    a, b, c = cluster.nodes

    for number, node in enumerate((a, b, c), 1):
        await cluster.join(node, "room")
        assert [call for call in await told(cluster) if call[0] == "count"] == [("count", number)]


async def test_a_cache_miss_is_told_once(watched: Cluster) -> None:
    a, b, _ = watched.nodes
    await watched.join(a, "cache-room")
    await told(watched)

    await watched.join(b, "cache-room")

    assert await told(watched) == [("cache_miss", "cache-room")]


async def test_a_refused_member_is_not_told(start: Start) -> None:
    cluster = await start(observer=Recorder, max_presence_members=1)
    a, b, _ = cluster.nodes
    await cluster.join(a, ROOM, user="ann")
    await told(cluster)

    refused = await cluster.connect(b)
    refused.ask(ROOM, {"user_id": "bob"})

    assert await told(cluster) == []


LOSSES: list[tuple[Callable[[Cluster], Any], str]] = [
    (lambda cluster: cluster.nodes[0], "the first"),
    (lambda cluster: cluster.nodes[-1], "the last"),
]


@pytest.mark.parametrize("pick", [pick for pick, _ in LOSSES], ids=[name for _, name in LOSSES])
async def test_what_a_lost_node_leaves_behind_is_told_to_one_survivor(
    watched: Cluster, pick: Callable[[Cluster], Any]
) -> None:
    lost = pick(watched)
    survivor = watched.nodes[1]
    await watched.join(survivor, ROOM, user="watcher")
    for user in ("ann", "ann", "bob", "watcher"):
        await watched.join(lost, ROOM, user=user)
    await watched.join(lost, "room")
    await told(watched)

    await watched.lose(lost)

    assert await told(watched) == [("removed", "ann"), ("removed", "bob"), ("vacated", "room")]

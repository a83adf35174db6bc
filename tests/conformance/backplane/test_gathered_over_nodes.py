"""Notices of a channel with more than 500 members, gathered on each node by itself."""

from __future__ import annotations

import pytest

from conformance.backplane.cluster import ADDED, REMOVED, Cluster, Start, leave, names
from conformance.protocol.stage import members_of
from soundpost.core.member import Member

ROOM = "presence-room"


@pytest.fixture
async def crowded(start: Start) -> Cluster:
    """Three nodes, and 510 members without connections on the first."""
    cluster = await start(max_presence_members=1_000)
    a, _, _ = cluster.nodes
    for number in range(510):
        a.node.peers.join("1", ROOM, Member(number, b"null"), lambda snapshot: None)
    await cluster.settle()
    return cluster


async def test_notices_are_gathered_on_every_node(crowded: Cluster) -> None:
    watchers = [await crowded.join(node, ROOM, user=f"watcher {n}") for n, node in enumerate(crowded.nodes)]
    for node in crowded.nodes:
        node.wait(0.05)
    for watcher in watchers:
        watcher.read()

    ann = await crowded.join(crowded.nodes[2], ROOM, user="ann")
    bob = await crowded.connect(crowded.nodes[1])
    bob.ask(ROOM, {"user_id": "bob"})
    await crowded.settle()
    assert members_of(bob.read())["count"] == 515
    leave(ann, ROOM)
    await crowded.settle()
    assert [watcher.read() for watcher in watchers] == [[], [], []]

    for node in crowded.nodes:
        node.wait(0.05)
    assert [watcher.events() for watcher in watchers] == [[(ADDED, {"user_id": "bob", "user_info": None})]] * 3
    assert bob.events() == [(REMOVED, {"user_id": "ann"})]


async def test_an_event_of_another_node_takes_the_notices_along(crowded: Cluster) -> None:
    a, b, _ = crowded.nodes
    watcher = await crowded.join(b, ROOM, user="watcher")
    b.wait(0.05)
    watcher.read()

    await crowded.join(a, ROOM, user="ann")
    a.publish(ROOM, "from ann")
    await crowded.settle()

    assert names(watcher) == [ADDED, "from ann"]

"""The events for webhooks, of several nodes: each is made once, in its order."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.backplane.cluster import Cluster, Start, leave
from conformance.backplane.hub_cluster import HubCluster, hub_cluster
from conformance.protocol.recorded_webhooks import wants

ROOM = "presence-room"

pytestmark = pytest.mark.parametrize("run_cluster", [hub_cluster], ids=["hub"])


async def told(cluster: Cluster) -> list[str]:
    await cluster.settle()
    assert isinstance(cluster, HubCluster)
    return cluster.webhooks.lines()


async def bodies(cluster: Cluster) -> list[dict[str, Any]]:
    await cluster.settle()
    assert isinstance(cluster, HubCluster)
    return cluster.webhooks.bodies()


async def test_each_event_of_a_channel_is_made_once_and_in_order(start: Start) -> None:
    cluster = await start(webhooks=wants("channel_occupied", "channel_vacated", "member_added", "member_removed"))
    clients = [await cluster.connect(node) for node in cluster.nodes]
    for client in clients:
        client.ask(ROOM, {"user_id": "ann"})
    assert await told(cluster) == [f"channel_occupied {ROOM}", f"member_added {ROOM} ann"]
    for client in clients:
        leave(client, ROOM)
    assert await told(cluster) == [f"member_removed {ROOM} ann", f"channel_vacated {ROOM}"]


async def test_a_member_event_names_the_connection_on_whichever_node(start: Start) -> None:
    cluster = await start(webhooks=wants("member_added", "member_removed"))
    ann = await cluster.join(cluster.nodes[0], ROOM, user="ann", info={"name": "Ann"})
    tab = await cluster.join(cluster.nodes[1], ROOM, user="ann")
    (added,) = await bodies(cluster)
    assert (added["socket_id"], added["user_info"]) == (ann.socket_id, {"name": "Ann"})
    ann.vanish()
    await cluster.settle()
    tab.vanish()
    (removed,) = await bodies(cluster)
    assert removed["socket_id"] == tab.socket_id


async def test_what_only_a_node_knows_comes_behind_what_it_told_before(start: Start) -> None:
    cluster = await start(webhooks=wants("member_added", "client_event", "cache_miss", "connection_opened"))
    client = await cluster.connect(cluster.nodes[2])
    client.ask("presence-cache-room", {"user_id": "ann"})
    await cluster.settle()
    client.say("client-typing", {}, channel="presence-cache-room")
    assert await told(cluster) == [
        "connection_opened",
        "member_added presence-cache-room ann",
        "cache_miss presence-cache-room",
        "client_event presence-cache-room ann",
    ]


async def test_what_a_lost_node_leaves_behind_is_told_once(start: Start) -> None:
    cluster = await start(webhooks=wants("channel_vacated", "member_removed"))
    lost = cluster.nodes[1]
    await cluster.join(lost, ROOM, user="ann")
    await cluster.join(lost, ROOM, user="ann")
    await told(cluster)
    await cluster.lose(lost)
    assert await told(cluster) == [f"channel_vacated {ROOM}", f"member_removed {ROOM} ann"]

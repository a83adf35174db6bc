"""Events: to every subscriber on every node, once, and to nobody else."""

from __future__ import annotations

import json

import pytest

from conformance.backplane.cluster import SUCCEEDED, Cluster, leave, names
from conformance.protocol.stage import Stage


async def heard_by_each(cluster: Cluster) -> dict[Stage, int]:
    """Return the number of events of other nodes that have come to each node."""
    await cluster.settle()
    return {node: cluster.heard(node) for node in cluster.nodes}


# The application's events


async def test_an_event_reaches_every_subscriber_on_every_node_once(cluster: Cluster) -> None:
    clients = [await cluster.join(node, "room") for node in cluster.nodes for _ in range(2)]

    for number, node in enumerate(cluster.nodes):
        node.publish("room", f"event {number}", '{"n":1}')
        await cluster.settle()
        for client in clients:
            assert client.read() == [{"event": f"event {number}", "channel": "room", "data": '{"n":1}'}]


async def test_a_node_without_subscribers_publishes_to_the_others(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client = await cluster.join(b, "room")

    a.publish("room", "e")
    await cluster.settle()

    assert names(client) == ["e"]


async def test_data_arrives_as_it_was_published(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client = await cluster.join(b, "room")
    data = json.dumps({"text": 'ä\u2028😀\0"\\' * 1_000}, ensure_ascii=False)

    a.publish("room", "é", data)
    await cluster.settle()

    assert client.read() == [{"event": "é", "channel": "room", "data": data}]


@pytest.mark.parametrize(
    "excluded",
    ["", " ", "x y", "x \x81\x02{}", "- ", "1 - \n", "\x00", "é", "S2E", "x" * 5_000, "1.2 \x88\x02\x0f\xa0"],
)
async def test_whoever_is_left_out_the_others_get_the_event_or_nothing(cluster: Cluster, excluded: str) -> None:
    """Never a part of another field: it would be raw bytes in a client's stream."""
    a, b, c = cluster.nodes
    clients = [await cluster.join(node, "room") for node in (a, b, c)]

    a.publish("room", "e", socket_id=excluded)
    a.publish("room", "next")
    await cluster.settle()

    for client in clients:
        assert names(client) in (["e", "next"], ["next"])


async def test_several_events_of_one_turn_arrive_in_their_order(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    clients = [await cluster.join(node, "room", "hall") for node in (a, b, c)]

    for number in range(10):
        a.publish("room", f"room {number}")
        a.publish("hall", f"hall {number}")
    await cluster.settle()

    for client in clients:
        got = names(client)
        for channel in ("room", "hall"):
            assert [name for name in got if name.startswith(channel)] == [f"{channel} {n}" for n in range(10)]


async def test_one_socket_is_left_out_on_whichever_node_it_is(cluster: Cluster) -> None:
    clients = [await cluster.join(node, "room") for node in cluster.nodes for _ in range(2)]

    for left_out in clients:
        for node in cluster.nodes:
            node.publish("room", "e", socket_id=left_out.socket_id)
            await cluster.settle()
            assert [names(client) for client in clients] == [[] if client is left_out else ["e"] for client in clients]


# Client events


async def test_a_client_event_goes_to_the_others_on_all_nodes_with_its_sender(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    sender = await cluster.join(a, "presence-room", user="ann")
    others = [await cluster.join(node, "presence-room", user="bob") for node in (a, b, c)]
    for client in (sender, *others):
        client.read()

    sender.say("client-typing", {"on": True}, channel="presence-room")
    await cluster.settle()

    assert sender.read() == []
    for other in others:
        assert other.read() == [
            {"event": "client-typing", "channel": "presence-room", "data": {"on": True}, "user_id": "ann"}
        ]


async def test_a_client_event_goes_to_the_senders_other_tab_on_another_node(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    sender, other_tab = [await cluster.join(node, "presence-room", user="ann") for node in (a, b)]

    sender.say("client-typing", {}, channel="presence-room")
    await cluster.settle()

    assert (names(sender), names(other_tab)) == ([], ["client-typing"])


async def test_a_client_event_on_a_private_channel_names_no_user(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    sender, other = [await cluster.join(node, "private-room") for node in (a, b)]

    sender.say("client-typing", {}, channel="private-room")
    await cluster.settle()

    assert other.read() == [{"event": "client-typing", "channel": "private-room", "data": {}}]


# Interest


async def test_a_node_hears_only_of_channels_that_it_has(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    await cluster.join(a, "room")
    await cluster.join(b, "hall")
    before = await heard_by_each(cluster)

    for number in range(5):
        c.publish("room", f"e{number}")
        c.publish("empty", f"e{number}")
        a.publish("room", f"e{number}")

    after = await heard_by_each(cluster)
    assert {node: after[node] - before[node] for node in cluster.nodes} == {a: 5, b: 0, c: 0}


async def test_a_node_hears_of_an_event_once_for_all_its_subscribers(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    clients = [await cluster.join(b, "room") for _ in range(5)]
    before = await heard_by_each(cluster)

    a.publish("room", "e")

    after = await heard_by_each(cluster)
    assert after[b] - before[b] == 1
    assert [names(client) for client in clients] == [["e"]] * 5


async def test_a_node_hears_nothing_more_when_its_last_subscriber_has_left(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    gone, stays = await cluster.join(b, "room"), await cluster.join(a, "room")
    gone.vanish()
    before = await heard_by_each(cluster)

    a.publish("room", "e")

    assert (await heard_by_each(cluster))[b] == before[b]
    assert names(stays) == ["e"]


async def test_events_to_nobody_go_nowhere(cluster: Cluster) -> None:
    clients = [await cluster.connect(node) for node in cluster.nodes]
    before = await heard_by_each(cluster)

    cluster.nodes[0].publish("room", "e")
    cluster.nodes[1].publish("#server-to-user-nobody", "e")

    assert await heard_by_each(cluster) == before
    assert [names(client) for client in clients] == [[], [], []]


# Since when, and until when


async def test_an_event_published_once_a_subscription_is_confirmed_reaches_the_subscriber(cluster: Cluster) -> None:
    """Wherever it is published: also if the confirmation came this very moment."""
    a, b, c = cluster.nodes
    for node in (a, b, c):
        client = await cluster.connect(a)
        client.ask("room")
        for step in range(100_000):  # Redis is a process: on a busy machine it may be long before it has its turn
            await cluster.progress(step)
            if names(client) == [SUCCEEDED]:
                break
        node.publish("room", "e")
        await cluster.settle()
        assert names(client) == ["e"]


async def test_no_event_reaches_who_has_unsubscribed(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client, stays = await cluster.join(a, "room"), await cluster.join(a, "room")

    b.publish("room", "under way")
    leave(client, "room")
    b.publish("room", "later")
    await cluster.settle()

    assert names(client) == []
    assert names(stays) == ["under way", "later"]


async def test_events_of_the_time_between_do_not_reach_who_came_back(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client = await cluster.join(a, "room")
    leave(client, "room")
    await cluster.settle()
    b.publish("room", "between")
    await cluster.settle()

    client.ask("room")
    await cluster.settle()
    b.publish("room", "after")
    await cluster.settle()

    assert names(client) == [SUCCEEDED, "after"]

"""The order of events: that of each node everywhere; on one host, one for all."""

from __future__ import annotations

from functools import partial

import pytest

from conformance.backplane.cluster import Cluster, names
from conformance.backplane.hub_cluster import one_order


@one_order
@pytest.mark.parametrize("seed", range(10))
async def test_concurrent_events_come_in_the_same_order_on_all_nodes(cluster: Cluster, seed: int) -> None:
    clients = [await cluster.join(node, "private-room") for node in cluster.nodes]
    senders = [await cluster.join(node, "private-room") for node in cluster.nodes]

    for number in range(9):
        node = cluster.nodes[(seed + number) % 3]
        node.publish("private-room", f"event {number}")
        senders[number // 2 % 3].say("client-event", channel="private-room")
        for step in range(number):
            await cluster.progress(seed * 7 + step)
    await cluster.settle()

    orders = [names(client) for client in clients]
    assert len(orders[0]) == 18
    assert orders[0] == orders[1] == orders[2]


@one_order
async def test_concurrent_events_come_in_the_same_order_where_a_node_hears_late(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    clients = [await cluster.join(node, "room") for node in (a, b, c)]

    cluster.hold(c)
    c.publish("room", "of c")
    for number in range(5):
        a.publish("room", f"of a {number}")
        b.publish("room", f"of b {number}")
        await cluster.settle()
    cluster.release(c)
    await cluster.settle()

    orders = [names(client) for client in clients]
    assert len(orders[0]) == 11
    assert orders[0] == orders[1] == orders[2]


@one_order
async def test_what_follows_a_settled_event_comes_after_it_everywhere(cluster: Cluster) -> None:
    """A publisher whose first event was answered publishes the second one on another node, by another way."""
    a, b, c = cluster.nodes
    clients = [await cluster.join(node, "room") for node in (a, b, c)]
    publishers = [a, b, a, c, b]
    answered: list[int] = []

    def publish_from(number: int) -> None:
        publishers[number].publish("room", f"event {number}")
        publishers[number].node.after_sending(partial(answered.append, number))

    for number in range(len(publishers)):
        publish_from(number)
        for step in range(10_000):
            if number in answered:
                break
            await cluster.progress(step)
    await cluster.settle()

    for client in clients:
        assert names(client) == [f"event {number}" for number in range(len(publishers))]


@pytest.mark.parametrize("seed", range(10))
async def test_the_events_of_a_node_come_in_its_order_on_all_nodes(cluster: Cluster, seed: int) -> None:
    clients = [await cluster.join(node, "room") for node in cluster.nodes]

    for number in range(12):
        cluster.nodes[(seed * number) % 3].publish("room", f"{(seed * number) % 3} {number:02}")
        for step in range(number % 4):
            await cluster.progress(seed * 7 + step)
    await cluster.settle()

    for client in clients:
        found = names(client)
        assert len(found) == 12
        for node in "012":
            own = [name for name in found if name.startswith(node)]
            assert own == sorted(own)


async def test_a_node_that_hears_late_does_not_keep_a_publisher_waiting(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    late = await cluster.join(c, "room")
    answered: list[str] = []

    cluster.hold(c)
    for node, name in ((a, "first"), (b, "second")):
        node.publish("room", name)
        node.node.after_sending(partial(answered.append, name))
        await cluster.settle()
    assert answered == ["first", "second"]
    cluster.release(c)
    await cluster.settle()

    assert names(late) == ["first", "second"]


async def test_a_publisher_is_answered_when_its_nodes_own_clients_were_sent_the_event(cluster: Cluster) -> None:
    a, _, _ = cluster.nodes
    client = await cluster.join(a, "room")
    sent_before: list[int] = []

    a.publish("room", "e")
    a.node.after_sending(lambda: sent_before.append(len(client.writes)))
    assert sent_before == []
    await cluster.settle()

    assert sent_before == [1]


async def test_a_publisher_is_answered_at_once_when_nothing_is_under_way(cluster: Cluster) -> None:
    answered: list[bool] = []

    cluster.nodes[0].node.after_sending(lambda: answered.append(True))

    assert answered == [True]


async def test_answers_come_in_the_order_of_their_questions(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client = await cluster.join(a, "room")
    other = await cluster.join(b, "room")
    answered: list[str] = []

    for number in range(3):
        a.publish("room", f"event {number}")
        a.node.after_sending(partial(answered.append, f"event {number}"))
        client.ask(f"channel {number}".replace(" ", "-"))
        a.node.after_sending(partial(answered.append, f"channel {number}"))
    await cluster.settle()

    assert answered == [f"{what} {number}" for number in range(3) for what in ("event", "channel")]
    assert names(other) == [f"event {number}" for number in range(3)]

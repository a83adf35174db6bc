"""A request to publish that is sent again: published once, whichever node of the host gets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.backplane.cluster import SUCCEEDED, Cluster, names
from conformance.backplane.hub_cluster import one_order
from conformance.protocol.stage import Stage
from soundpost.core.peers import IdempotencyKey, Reception
from soundpost.core.publishing import publish_once

ROOM = [("room", "e", "{}", None, False, None)]


def send(node: Stage, key: str, *, events: Sequence[Any] = ROOM, digest: str = "d") -> list[Reception]:
    """Publish a request with an idempotency key; the returned list gets its reception."""
    found: list[Reception] = []
    publish_once(node.app, IdempotencyKey(key, digest), events, found.append)
    return found


async def test_a_request_that_is_repeated_is_published_once(cluster: Cluster) -> None:
    a, *_ = cluster.nodes
    clients = [await cluster.join(node, "room") for node in cluster.nodes]

    first = send(a, "k")
    await cluster.settle()
    again = send(a, "k")
    other = send(a, "l")
    await cluster.settle()

    assert (first, again, other) == (["new"], ["repeated"], ["new"])
    for client in clients:
        assert names(client) == ["e", "e"]


async def test_a_repeat_that_comes_before_the_first_was_answered_is_not_published(cluster: Cluster) -> None:
    a, *_ = cluster.nodes
    clients = [await cluster.join(node, "room") for node in cluster.nodes]

    first, again = send(a, "k"), send(a, "k")
    await cluster.settle()

    assert (first, again) == (["new"], ["repeated"])
    for client in clients:
        assert names(client) == ["e"]


@one_order
async def test_every_node_of_the_host_knows_what_the_others_took(cluster: Cluster) -> None:
    clients = [await cluster.join(node, "room") for node in cluster.nodes]

    at_once = [send(node, "k") for node in cluster.nodes]
    await cluster.settle()
    later = [send(node, "k") for node in cluster.nodes]
    await cluster.settle()

    assert sorted(reception for (reception,) in at_once) == ["new", "repeated", "repeated"]
    assert later == [["repeated"]] * 3
    for client in clients:
        assert names(client) == ["e"]


@one_order
async def test_a_request_is_known_when_the_node_that_took_it_is_gone(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client = await cluster.join(b, "room")
    send(a, "k")
    await cluster.settle()

    await cluster.lose(a)
    again = send(await cluster.add(), "k")
    await cluster.settle()

    assert again == ["repeated"]
    assert names(client) == ["e"]


@one_order
async def test_a_request_that_never_left_its_node_is_published_by_another(cluster: Cluster) -> None:
    """The node died before the hub heard of it: nobody has the event, so the repeat must not be taken for one."""
    a, b, _ = cluster.nodes
    client = await cluster.join(b, "room")
    cluster.hold(a)
    send(a, "k")
    await cluster.lose(a)

    again = send(b, "k")
    await cluster.settle()

    assert again == ["new"]
    assert names(client) == ["e"]


async def test_all_events_of_a_request_are_published_or_none(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    clients = [await cluster.join(node, "room", "cache-hall") for node in (a, b, c)]
    for client in clients:
        assert names(client) in ([], ["pusher:cache_miss"])
    left_out = clients[1].socket_id
    events = [
        ("room", "1", "{}", None, False, None),
        ("room", "2", "{}", None, False, None),
        ("cache-hall", "3", "{}", left_out, False, None),
    ]

    for _ in range(3):
        send(a, "k", events=events)
        await cluster.settle()

    assert [names(client) for client in clients] == [["1", "2", "3"], ["1", "2"], ["1", "2", "3"]]
    newcomer = await cluster.connect(b)
    newcomer.ask("cache-hall")
    await cluster.settle()
    assert names(newcomer) == [SUCCEEDED, "3"]


async def test_events_of_a_request_keep_their_order_in_each_channel(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    clients = [await cluster.join(node, "room", "cache-hall") for node in cluster.nodes]
    for client in clients:
        names(client)
    left_out = clients[1].socket_id
    answered: list[str] = []

    send(
        a,
        "k",
        events=[
            ("room", "1", "{}", None, False, None),
            ("cache-hall", "2", "{}", None, False, None),
            ("room", "3", "{}", left_out, False, None),
            ("room", "4", "{}", None, True, None),
            ("cache-hall", "5", "{}", None, False, None),
            ("room", "6", "{}", None, True, None),
        ],
    )
    a.node.after_sending(lambda: answered.append("all"))
    await cluster.settle()

    for client in clients:
        found = names(client)
        missing = ["3"] if client.socket_id == left_out else []
        assert [name for name in found if name not in "25"] == [each for each in "1346" if each not in missing]
        assert [name for name in found if name in "25"] == ["2", "5"]
    assert answered == ["all"]
    newcomer = await cluster.connect(b)
    newcomer.ask("cache-hall")
    await cluster.settle()
    assert names(newcomer) == [SUCCEEDED, "5"]


async def test_a_key_with_another_body_publishes_nothing(cluster: Cluster) -> None:
    a, *_ = cluster.nodes
    client = await cluster.join(a, "room")
    send(a, "k")

    other = send(a, "k", digest="another")
    await cluster.settle()

    assert other == ["different"]
    assert names(client) == ["e"]


async def test_a_publisher_is_told_when_all_is_in_order(cluster: Cluster) -> None:
    """As with events without a key: what was taken is sent before it is answered, repeats too."""
    a, b, _ = cluster.nodes
    clients = [await cluster.join(node, "room") for node in (a, b)]
    answered: list[str] = []

    for name in ("first", "again"):
        send(a, "k", events=[("room", "1", "{}", None, False, None), ("hall", "2", "{}", None, False, None)])
        a.node.after_sending(lambda name=name: answered.append(name))  # type: ignore[misc]
    await cluster.settle()
    a.publish("room", "plain")
    a.node.after_sending(lambda: answered.append("plain"))
    await cluster.settle()

    assert answered == ["first", "again", "plain"]
    for client in clients:
        assert names(client) == ["1", "plain"]

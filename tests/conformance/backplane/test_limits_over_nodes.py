"""Limits of connections of an app, and of the server, on all nodes together."""

from __future__ import annotations

import msgspec

from conformance.backplane.cluster import Cluster, Start
from conformance.backplane.hub_cluster import one_order
from conformance.protocol.stage import APP, Client, Stage
from soundpost.core.peers import ConnectionsQuery

OTHER = msgspec.structs.replace(APP, id="2", key="other-key")


async def admissions(cluster: Cluster, *wishes: tuple[Stage, str]) -> list[Client]:
    """Return the admissions of connections that are asked for at once."""
    clients = [node.open(app_id) for node, app_id in wishes]
    await cluster.settle()
    return clients


async def test_max_connections_of_an_app_is_exact_when_all_nodes_connect_at_once(start: Start) -> None:
    cluster = await start(max_connections=4)

    clients = await admissions(cluster, *[(node, "1") for node in cluster.nodes for _ in range(3)])

    assert sorted(str(client.admission) for client in clients) == ["admitted"] * 4 + ["app_full"] * 5
    assert await cluster.ask(cluster.nodes[0], ConnectionsQuery("1")) == 4


async def test_a_connection_that_closed_makes_room_on_every_node(start: Start) -> None:
    cluster = await start(max_connections=1)
    a, b, c = cluster.nodes
    for node in (a, b, c):
        client, refused = await admissions(cluster, (node, "1"), (node, "1"))
        assert (client.admission, refused.admission) == ("admitted", "app_full")
        client.vanish()
        await cluster.settle()


async def test_each_app_counts_for_itself(start: Start) -> None:
    cluster = await start(msgspec.structs.replace(APP, max_connections=1), OTHER)
    a, b, c = cluster.nodes

    clients = await admissions(cluster, (a, "1"), (b, "2"), (c, "1"), (c, "2"))

    assert [client.admission for client in clients].count("app_full") == 1
    assert await cluster.ask(a, ConnectionsQuery("2")) == 2


@one_order
async def test_max_connections_of_the_server_counts_all_apps_on_all_nodes(start: Start) -> None:
    cluster = await start(APP, OTHER, server_max_connections=4)
    wishes = [(node, app_id) for node in cluster.nodes for app_id in ("1", "2")]

    clients = await admissions(cluster, *wishes)
    assert sorted(str(client.admission) for client in clients) == ["admitted"] * 4 + ["server_full"] * 2

    for client in clients:
        if client.admission == "admitted":
            client.vanish()
    await cluster.settle()
    (again, *_) = await admissions(cluster, *wishes)
    assert again.admission == "admitted"


async def test_a_refused_connection_counts_for_nothing(start: Start) -> None:
    cluster = await start(max_connections=1, server_max_connections=2)
    a, b, _ = cluster.nodes
    await cluster.connect(a)

    for _ in range(3):
        (refused,) = await admissions(cluster, (b, "1"))
        assert refused.admission == "app_full"
    assert await cluster.ask(b, ConnectionsQuery("1")) == 1


async def admissions_from(cluster: Cluster, *wishes: tuple[Stage, str | None]) -> list[Client]:
    """Return the admissions of connections from some addresses."""
    clients = [node.open(address=address) for node, address in wishes]
    await cluster.settle()
    return clients


def accepted(clients: list[Client]) -> list[bool]:
    return [client.admission == "admitted" for client in clients]


@one_order
async def test_connections_of_one_address_are_limited_over_the_nodes_of_a_host(start: Start) -> None:
    cluster = await start(max_connections_per_ip=2)
    a, b, c = cluster.nodes

    clients = await admissions_from(cluster, *[(node, "192.0.2.1") for node in (a, b, c)], (a, "192.0.2.2"), (b, None))

    assert [clients[number].admission for number in (3, 4)] == ["admitted", "admitted"]
    assert sorted(str(client.admission) for client in clients[:3]) == ["address_full", "admitted", "admitted"]


async def test_a_closed_connection_makes_room_for_its_address(start: Start) -> None:
    cluster = await start(max_connections_per_ip=1)
    a = cluster.nodes[0]
    for _ in range(3):
        first, second = await admissions_from(cluster, (a, "192.0.2.1"), (a, "192.0.2.1"))
        assert [first.admission, second.admission] == ["admitted", "address_full"]
        first.vanish()
        await cluster.settle()


async def test_one_that_the_app_has_no_room_for_takes_none_from_its_address(start: Start) -> None:
    cluster = await start(max_connections=1, max_connections_per_ip=1)
    a = cluster.nodes[0]
    (other,) = await admissions_from(cluster, (a, "192.0.2.2"))
    assert accepted(await admissions_from(cluster, (a, "192.0.2.1"))) == [False]
    other.vanish()
    await cluster.settle()
    assert accepted(await admissions_from(cluster, (a, "192.0.2.1"))) == [True]


@one_order
async def test_connections_of_a_lost_node_make_room_for_their_address(start: Start) -> None:
    cluster = await start(max_connections_per_ip=1)
    a, b, _ = cluster.nodes
    assert accepted(await admissions_from(cluster, (a, "192.0.2.1"))) == [True]
    assert accepted(await admissions_from(cluster, (b, "192.0.2.1"))) == [False]
    await cluster.lose(a)
    await cluster.settle()
    assert accepted(await admissions_from(cluster, (b, "192.0.2.1"))) == [True]

"""Signed-in users: reached, and cut off, on all nodes."""

from __future__ import annotations

import pytest

from conformance.backplane.cluster import REMOVED, SUCCEEDED, Cluster, names
from conformance.protocol.stage import Client, Stage
from soundpost.core import users
from soundpost.core.peers import ChannelsQuery, ConnectionsQuery

OWN_CHANNEL = "#server-to-user-"


async def sign_in(cluster: Cluster, node: Stage, user_id: str) -> Client:
    """Return a client of a user, subscribed to the user's own channel."""
    client = await cluster.connect(node)
    client.sign_in({"id": user_id})
    client.say("pusher:subscribe", {"channel": OWN_CHANNEL + user_id})
    await cluster.settle()
    assert names(client) == ["pusher:signin_success", SUCCEEDED]
    return client


def terminate(node: Stage, user_id: str) -> None:
    """Publish as the HTTP API does."""
    users.terminate(node.app, user_id)
    node.node.peers.terminate(node.app.settings.id, user_id)


async def test_an_event_to_a_user_reaches_its_tabs_on_all_nodes_and_nobody_else(cluster: Cluster) -> None:
    tabs = [await sign_in(cluster, node, "ann") for node in cluster.nodes]
    other = await sign_in(cluster, cluster.nodes[1], "bob")

    for node in cluster.nodes:
        node.publish(OWN_CHANNEL + "ann", "hello")
        await cluster.settle()
        assert [names(tab) for tab in tabs] == [["hello"]] * 3
    assert other.read() == []


async def test_a_users_connections_are_terminated_on_all_nodes(cluster: Cluster) -> None:
    tabs = [await sign_in(cluster, node, "ann") for node in cluster.nodes]
    others = [await sign_in(cluster, node, "bob") for node in cluster.nodes]

    terminate(cluster.nodes[0], "ann")
    await cluster.settle()

    for tab in tabs:
        assert tab.close_code == 4009
        assert [data["code"] for name, data in tab.events() if name == "pusher:error"] == [4009]
    for other in others:
        assert (other.close_code, other.read()) == (None, [])
    assert await cluster.ask(cluster.nodes[1], ConnectionsQuery("1")) == 3


async def test_a_user_present_on_another_node_is_terminated_without_having_signed_in(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    watcher = await cluster.join(a, "presence-room", user="watcher")
    tabs = [await cluster.join(node, "presence-room", user="ann") for node in (b, c)]
    watcher.read()

    terminate(a, "ann")
    await cluster.settle()

    assert [tab.close_code for tab in tabs] == [4009, 4009]
    assert watcher.events() == [(REMOVED, {"user_id": "ann"})]


async def test_a_user_about_to_be_present_on_another_node_is_terminated(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    client = await cluster.connect(b)
    client.ask("presence-room", {"user_id": "ann"})
    terminate(a, "ann")
    await cluster.settle()

    assert client.close_code == 4009


async def test_a_user_nobody_is_can_be_terminated(cluster: Cluster) -> None:
    tabs = [await sign_in(cluster, node, "ann") for node in cluster.nodes]

    terminate(cluster.nodes[0], "nobody")
    await cluster.settle()

    assert [tab.close_code for tab in tabs] == [None, None, None]


async def test_a_user_may_come_back_at_once(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    await sign_in(cluster, a, "ann")
    terminate(b, "ann")
    await cluster.settle()

    again = await sign_in(cluster, a, "ann")
    b.publish(OWN_CHANNEL + "ann", "hello")
    await cluster.settle()

    assert names(again) == ["hello"]


@pytest.mark.parametrize("subscribes", [False, True])
async def test_a_user_gets_what_is_sent_from_the_moment_of_signing_in_and_once(
    cluster: Cluster, subscribes: bool
) -> None:
    """Without waiting for the client's own subscription, which pusher-js makes after ``pusher:signin_success``."""
    client = await cluster.connect(cluster.nodes[0])
    client.sign_in({"id": "ann"})
    await cluster.settle()
    assert names(client) == ["pusher:signin_success"]

    for node in cluster.nodes:
        node.publish(OWN_CHANNEL + "ann", "at once")
    if subscribes:
        client.say("pusher:subscribe", {"channel": OWN_CHANNEL + "ann"})
    for node in cluster.nodes:
        node.publish(OWN_CHANNEL + "ann", "later")
    await cluster.settle()

    got = names(client)
    assert sorted(got) == ["at once"] * 3 + ["later"] * 3 + [SUCCEEDED] * subscribes


async def test_nothing_that_is_sent_after_the_answer_to_a_sign_in_is_lost(cluster: Cluster) -> None:
    """Whatever is under way between the nodes: what is published when the answer is there comes after it."""
    for choice in range(12):
        user = f"user-{choice}"
        client = await cluster.connect(cluster.nodes[choice % 3])
        client.sign_in({"id": user})
        got: list[str] = []
        for step in range(choice, 2_000):
            await cluster.progress(step % 97)
            got = names(client)
            if got:
                break
        else:
            await cluster.settle()
            got = names(client)
        cluster.nodes[(choice + 1) % 3].publish(OWN_CHANNEL + user, "hello")
        client.say("pusher:subscribe", {"channel": OWN_CHANNEL + user})
        await cluster.settle()
        assert sorted([*got, *names(client)]) == sorted(["pusher:signin_success", "hello", SUCCEEDED])


async def test_who_signs_in_and_goes_is_subscribed_nowhere(cluster: Cluster) -> None:
    for settled in (False, True):
        client = await cluster.connect(cluster.nodes[0])
        client.sign_in({"id": "ann"})
        if settled:
            await cluster.settle()
        client.vanish()
        await cluster.settle()

        assert cluster.nodes[0].app.channels == {}
        assert await cluster.ask(cluster.nodes[1], ChannelsQuery("1", "", [])) == {}

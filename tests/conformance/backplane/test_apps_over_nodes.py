"""Two apps on the same nodes know nothing of each other."""

from __future__ import annotations

from typing import Any

import msgspec

from conformance.backplane.cluster import Cluster, Start, names
from conformance.protocol.stage import APP, Client, Stage
from soundpost.core import users
from soundpost.core.peers import ChannelsQuery, UsersQuery
from soundpost.core.publishing import publish

OTHER = msgspec.structs.replace(APP, id="2", key="other-key", secret="other-secret")
CHANNELS = ("room", "cache-room")


async def one_of_each(start: Start, *channels: str, **options: Any) -> tuple[Cluster, Client, Client]:
    """Return a client of either app, on channels of the same names, on two nodes."""
    cluster = await start(APP, OTHER)
    a, b, _ = cluster.nodes
    return cluster, await cluster.join(a, *channels, **options), await cluster.join(b, *channels, **options, app_id="2")


def publish_to(node: Stage, app_id: str, channel: str, event: str) -> None:
    """Publish to an app of a node."""
    publish(node.node.by_id[app_id], channel, event, "{}")


async def test_events_stay_in_their_app(start: Start) -> None:
    cluster, of_first, of_other = await one_of_each(start, *CHANNELS)

    for node in cluster.nodes:
        for channel in CHANNELS:
            publish_to(node, "2", channel, "e")
    await cluster.settle()

    assert of_first.read() == []
    assert len(of_other.read()) == 6


async def test_members_and_counts_stay_in_their_app(start: Start) -> None:
    cluster, of_first, _ = await one_of_each(start, "presence-room", user="ann")
    _, _, c = cluster.nodes

    await cluster.join(c, "presence-room", user="bob", app_id="2")

    assert of_first.read() == []
    assert await cluster.ask(c, UsersQuery("1", "presence-room")) == [b'"ann"']
    listed = await cluster.ask(c, ChannelsQuery("1", "", ["subscription_count"]))
    assert listed == {"presence-room": {"subscription_count": 1}}


async def test_last_events_stay_in_their_app(start: Start) -> None:
    cluster, _, _ = await one_of_each(start)
    a, b, _ = cluster.nodes
    publish_to(a, "1", "cache-room", "of the first")
    publish_to(b, "2", "cache-room", "of the other")
    await cluster.settle()

    client = await cluster.connect(b, "1")
    client.ask("cache-room")
    await cluster.settle()

    assert names(client)[1:] == ["of the first"]


async def test_only_the_apps_own_user_is_terminated(start: Start) -> None:
    cluster, of_first, of_other = await one_of_each(start, "presence-room", user="ann")
    _, _, c = cluster.nodes

    users.terminate(c.node.by_id["2"], "ann")
    c.node.peers.terminate("2", "ann")
    await cluster.settle()

    assert (of_first.close_code, of_other.close_code) == (None, 4009)

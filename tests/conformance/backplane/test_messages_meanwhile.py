"""Messages of a client wait, in order, while its subscriptions are on the way to the other nodes."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.backplane.cluster import SUCCEEDED, Cluster, Start, leave, names
from conformance.protocol.stage import error_of, subscription_error_of
from soundpost.core import users
from soundpost.core.peers import ChannelQuery, ChannelsQuery
from soundpost.core.pending_subscriptions import AT_ONCE, MAX_WAITING

ROOM = "presence-room"


async def count(cluster: Cluster, channel: str) -> Any:
    """Return the number of subscriptions on all nodes together; None for none."""
    (found,) = await cluster.ask(cluster.nodes[1], ChannelQuery("1", [channel], ["subscription_count"]))
    return found.get("subscription_count")


async def test_nothing_is_confirmed_before_all_nodes_know(cluster: Cluster) -> None:
    client = await cluster.connect(cluster.nodes[0])
    cluster.hold(cluster.nodes[0])

    client.ask("room")
    client.say("pusher:ping")
    await cluster.settle()
    assert client.read() == []
    cluster.release(cluster.nodes[0])
    await cluster.settle()

    assert names(client) == [SUCCEEDED, "pusher:pong"]


async def test_what_a_client_sends_meanwhile_is_handled_in_its_order(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    other = await cluster.join(b, "private-room")
    client = await cluster.connect(a)

    client.ask("private-room")
    client.say("client-first", {}, channel="private-room")
    client.say("pusher:ping")
    client.ask("hall")
    client.say("client-second", {}, channel="private-room")
    leave(client, "private-room")
    client.say("client-third", {}, channel="private-room")
    client.say("pusher:signin", client.sign_in_data({"id": "ann"}))
    client.say("pusher:subscribe", {"channel": "#server-to-user-ann"})
    await cluster.settle()

    messages = client.read()
    assert [(message["event"], message.get("channel")) for message in messages] == [
        (SUCCEEDED, "private-room"),
        ("pusher:pong", None),
        (SUCCEEDED, "hall"),
        ("pusher:error", None),
        ("pusher:signin_success", None),
        (SUCCEEDED, "#server-to-user-ann"),
    ]
    assert error_of(messages)[0] == 4009
    assert names(other) == ["client-first", "client-second"]


async def test_a_message_that_is_wrong_keeps_its_place(cluster: Cluster) -> None:
    client = await cluster.connect(cluster.nodes[0])

    client.ask("room")
    client.say("pusher:nonsense")
    client.say("pusher:ping")
    client.say("pusher:subscribe", {"channel": "private-room", "auth": "app-key:wrong"})
    client.say("pusher:ping")
    await cluster.settle()

    assert names(client) == [
        SUCCEEDED,
        "pusher:error",
        "pusher:pong",
        "pusher:subscription_error",
        "pusher:error",
        "pusher:pong",
    ]


async def test_several_subscriptions_go_their_way_together(cluster: Cluster) -> None:
    client = await cluster.connect(cluster.nodes[0])
    channels = [f"room-{number}" for number in range(50)]

    for channel in channels:
        client.ask(channel)
    await cluster.settle()

    assert [message["channel"] for message in client.read()] == channels


async def test_a_refused_subscription_holds_up_nothing(start: Start) -> None:
    cluster = await start(max_presence_members=1)
    a, b, _ = cluster.nodes
    await cluster.join(b, ROOM, user="ann")
    client = await cluster.connect(a)

    client.ask(ROOM, {"user_id": "bob"})
    client.say("pusher:ping")
    client.ask("room")
    await cluster.settle()

    messages = client.read()
    assert subscription_error_of(messages)["channel"] == ROOM
    assert [message["event"] for message in messages][2:] == ["pusher:pong", SUCCEEDED]


@pytest.mark.parametrize("before", [0, 1, AT_ONCE - 2, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE - 1])
async def test_a_subscription_may_wait_at_any_place(cluster: Cluster, before: int) -> None:
    client = await cluster.connect(cluster.nodes[0])
    client.ask("first")
    for number in range(5):
        for _ in range(before):
            client.say("pusher:ping")
        client.ask(f"room-{number}")
    client.say("pusher:ping")
    await cluster.settle()

    assert names(client) == [SUCCEEDED, *([*["pusher:pong"] * before, SUCCEEDED] * 5), "pusher:pong"]


@pytest.mark.parametrize(("number", "stays"), [(MAX_WAITING, True), (MAX_WAITING + 1, False)])
async def test_so_many_messages_may_wait(cluster: Cluster, number: int, stays: bool) -> None:
    client = await cluster.connect(cluster.nodes[0])

    client.ask("room")
    for _ in range(number):
        client.say("pusher:ping")
    assert client.close_code == (None if stays else 4100)
    messages = client.read()
    if not stays:
        assert error_of(messages)[0] == 4100
    await cluster.settle()

    assert names(client) == ([SUCCEEDED, *["pusher:pong"] * number] if stays else [])
    assert await count(cluster, "room") == (1 if stays else 0)


async def test_what_waits_behind_a_message_that_ends_the_connection_is_not_acted_on(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    other = await cluster.join(b, "private-room")
    client = await cluster.connect(a)

    client.ask("private-room")
    client.say("pusher:signin", {"auth": "app-key:wrong", "user_data": '{"id":"ann"}'})
    client.say("client-late", {}, channel="private-room")
    await cluster.settle()

    assert client.close_code == 4009
    assert names(other) == []
    assert await count(cluster, "private-room") == 1


async def test_who_is_terminated_while_it_waits_does_nothing_more(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    other = await cluster.join(b, "private-room")
    client = await cluster.join(a, "private-room")
    client.sign_in({"id": "ann"})
    cluster.hold(a)

    client.ask("room")
    client.say("client-late", {}, channel="private-room")
    users.terminate(a.app, "ann")
    a.turn()
    cluster.release(a)
    await cluster.settle()

    assert client.close_code == 4009
    assert names(other) == []
    assert await cluster.ask(b, ChannelsQuery("1", "", ["subscription_count"])) == {
        "private-room": {"subscription_count": 1}
    }

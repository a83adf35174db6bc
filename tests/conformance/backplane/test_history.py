"""History over nodes: what a page missed comes back from the history, whichever node it was on and comes back to."""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.backplane.cluster import SUCCEEDED, Cluster, RunCluster, Setup, Start, names
from conformance.backplane.hub_cluster import hub_cluster
from conformance.backplane.resuming_pages import FORMER_IDS, Page, World
from conformance.backplane.single_cluster import single_cluster
from conformance.protocol.stage import APP, Client, Message, Stage
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history import HistoryPage
from soundpost.core.peers import ChannelQuery, HistoryDeletion, HistoryQuery, IdempotencyKey
from soundpost.core.publishing import publish_once

WITH_HISTORY: Final[dict[str, RunCluster]] = {"single": single_cluster, "hub": hub_cluster}
"""The backplanes that keep histories."""
HISTORY: Final = (
    HistorySettings(channels=("kept-*", "presence-kept"), events=4, rewind=3),
    HistorySettings(channels=("cache-kept",), events=4),
    HistorySettings(channels=("large",), events=1_000),
)


@pytest.fixture(params=list(WITH_HISTORY))
def run_cluster(request: pytest.FixtureRequest) -> RunCluster:
    """Runs a cluster that keeps histories."""
    return WITH_HISTORY[request.param]


@pytest.fixture
async def cluster(start: Start) -> Cluster:
    """Nodes that serve one app, whose channels ``kept-…`` keep four events."""
    return await start(history=HISTORY)


async def resume(cluster: Cluster, node: Stage, channel: str, position: str = "", **fields: Any) -> list[Message]:
    """Return the answers to the subscription of a new connection."""
    client = await cluster.connect(node)
    client.say("pusher:subscribe", {"channel": channel, "resume": position, **fields})
    await cluster.settle()
    return client.read()


async def listen(cluster: Cluster, node: Stage, channel: str) -> tuple[Client, str]:
    """Return a new connection that can resume, and its position."""
    client = await cluster.connect(node)
    client.say("pusher:subscribe", {"channel": channel, "resume": ""})
    await cluster.settle()
    (answer,) = client.read()
    return client, answer["position"]


async def test_missed_events_come_on_another_node_than_they_were_published_on(cluster: Cluster) -> None:
    client, position = await listen(cluster, cluster.nodes[0], "kept-a")
    client.vanish()
    for number, node in enumerate(cluster.nodes * 2):
        node.publish("kept-a", f"event {number}")
        await cluster.settle()
    number = 2 * len(cluster.nodes)
    for node in cluster.nodes:
        answer, *missed = await resume(cluster, node, "kept-a", position)
        if number <= 4:
            assert answer["resumed"] == number
            assert [message["event"] for message in missed] == [f"event {index}" for index in range(number)]
        else:
            assert (answer["gap"], missed) == ("number", [])
    answer, *missed = await resume(cluster, cluster.nodes[-1], "kept-a", rewind=3)
    assert [message["event"] for message in missed] == [f"event {index}" for index in range(number)][-3:]


async def test_all_nodes_see_the_same_bytes_live_and_in_replays(cluster: Cluster) -> None:
    clients = [(await listen(cluster, node, "kept-a"))[0] for node in cluster.nodes]
    stock = await cluster.join(cluster.nodes[0], "kept-a")
    position = (await listen(cluster, cluster.nodes[0], "kept-a"))[1]
    for number, node in enumerate(cluster.nodes):
        node.publish("kept-a", f"event {number}")
    await cluster.settle()
    live = [client.read() for client in (*clients, stock)]
    _, *missed = await resume(cluster, cluster.nodes[-1], "kept-a", position)
    assert all(messages == missed for messages in live)
    assert len(missed) == len(cluster.nodes)


async def test_an_event_under_way_while_a_page_resumes_comes_once(cluster: Cluster) -> None:
    for seed in range(40):
        chance = random.Random(seed)
        first, position = await listen(cluster, cluster.nodes[0], "kept-a")
        first.vanish()
        node = chance.choice(cluster.nodes)
        client = await cluster.connect(chance.choice(cluster.nodes))
        node.publish("kept-a", "a")
        for _ in range(chance.randrange(12)):
            await cluster.progress(chance.randrange(1_000))
        client.say("pusher:subscribe", {"channel": "kept-a", "resume": position})
        for _ in range(chance.randrange(12)):
            await cluster.progress(chance.randrange(1_000))
        node.publish("kept-a", "b")
        await cluster.settle()
        assert names(client) == [SUCCEEDED, "a", "b"], seed
        client.vanish()
        await cluster.settle()


async def test_more_than_one_piece_comes_in_order_while_events_go_on(cluster: Cluster) -> None:
    first, position = await listen(cluster, cluster.nodes[0], "large")
    first.vanish()
    for number in range(60):
        cluster.nodes[number % len(cluster.nodes)].publish("large", f"old {number:02}", "x" * 8_000)
        await cluster.settle()
    client = await cluster.connect(cluster.nodes[-1])
    client.say("pusher:subscribe", {"channel": "large", "resume": position})
    for number in range(60):
        cluster.nodes[number % len(cluster.nodes)].publish("large", f"new {number:02}")
        for step in range(number % 7):
            await cluster.progress(step * 37)
    await cluster.settle()
    _, *found = client.read()
    assert [message["event"] for message in found][:60] == [f"old {number:02}" for number in range(60)]
    assert sorted(message["event"] for message in found[60:]) == [f"new {number:02}" for number in range(60)]
    positions = [message["position"] for message in found]
    assert len(set(positions)) == 120
    assert positions == sorted(positions)


async def test_a_deleted_history_is_a_gap_for_who_has_not_had_it(cluster: Cluster) -> None:
    first, position = await listen(cluster, cluster.nodes[0], "kept-a")
    first.vanish()
    cluster.nodes[0].publish("kept-a", "a")
    await cluster.settle()
    head = await cluster.ask(cluster.nodes[-1], HistoryDeletion("1", "kept-a"))
    assert (await resume(cluster, cluster.nodes[0], "kept-a", position))[0]["gap"] == "deleted"
    assert (await resume(cluster, cluster.nodes[0], "kept-a", head))[0]["resumed"] == 0
    page: HistoryPage = await cluster.ask(cluster.nodes[0], HistoryQuery("1", "kept-a", "", 10, 1_000))
    assert (page.events, page.whole) == ([], True)


async def test_every_node_reads_the_history_and_its_end(cluster: Cluster) -> None:
    for name in "abc":
        cluster.nodes[0].publish("kept-a", name)
    await cluster.settle()
    pages: list[HistoryPage] = []
    for node in cluster.nodes:
        pages.append(await cluster.ask(node, HistoryQuery("1", "kept-a", "", 2, 1_000_000)))
        (attributes,) = await cluster.ask(node, ChannelQuery("1", ["kept-a"], ["position"]))
        last: HistoryPage = await cluster.ask(node, HistoryQuery("1", "kept-a", pages[0].position, 9, 1_000_000))
        assert attributes == {"position": last.position}
        assert len(last.events) == 1
    assert all(page == pages[0] for page in pages)
    assert not pages[0].whole


async def test_an_event_published_once_is_kept_once(cluster: Cluster) -> None:
    first, position = await listen(cluster, cluster.nodes[0], "kept-a")
    for _ in range(3):
        key, event = IdempotencyKey("key", "digest"), ("kept-a", "once", "{}", None, False, None)
        publish_once(cluster.nodes[0].app, key, [event], lambda _: None)
        await cluster.settle()
    assert names(first) == ["once"]
    answer, *_ = await resume(cluster, cluster.nodes[-1], "kept-a", position)
    assert answer["resumed"] == 1


CHANNELS: Final = ("kept-a", "kept-b", "cache-kept")
SETUP: Final = Setup([msgspec.structs.replace(APP, history=HISTORY)], 3, None, None)
ACTIONS: Final = {
    "nothing": 1,
    "subscribe": 4,
    "rewind": 1,
    "unsubscribe": 2,
    "publish": 8,
    "publish but": 2,
    "publish ephemeral": 1,
    "cut": 3,
    "cut and read": 2,
    "open": 5,
    "slow": 1,
    "read": 4,
    "lose": 1,
    "hold": 1,
    "release": 1,
    "delete": 1,
    "rest": 2,
    "progress": 14,
}
steps = st.lists(
    st.tuples(
        st.sampled_from([action for action, weight in ACTIONS.items() for _ in range(weight)]),
        st.integers(0, 999),
        st.integers(0, 999),
    ),
    min_size=40,
    max_size=120,
)


async def act(cluster: Cluster, world: World, action: str, one: int, two: int) -> None:
    """Do one step; the numbers choose the page, the node and the channel."""
    page, channel = world.pages[one % len(world.pages)], CHANNELS[two % len(CHANNELS)]
    node = cluster.nodes[(one // 7) % len(cluster.nodes)]
    if action == "subscribe":
        page.subscribe(channel)
    elif action == "rewind" and channel.startswith("kept"):
        page.subscribe(channel, rewind=two % 3)
    elif action == "unsubscribe":
        page.unsubscribe(channel)
    elif action.startswith("publish"):
        sender = page if action == "publish but" else None
        world.publish(node, channel, sender, action == "publish ephemeral", ago=two // 10 % FORMER_IDS)
    elif action.startswith("cut"):
        page.cut(reads_rest=action == "cut and read")
    elif action == "open" and page.client is None:
        for held in cluster.nodes:
            cluster.release(held)
        page.open(await cluster.connect(node))
    elif action == "slow" and page.client is not None:
        page.client.is_slow = not page.client.is_slow
    elif action == "read":
        page.read()
    elif action == "lose" and len(cluster.nodes) > 1:
        await lose(cluster, world, cluster.nodes[1 + one % (len(cluster.nodes) - 1)])
    elif action == "hold":
        cluster.hold(node)
    elif action == "release":
        cluster.release(node)
    elif action == "delete":
        node.node.peers.ask(HistoryDeletion("1", channel), lambda _: None)
    elif action == "progress":
        await cluster.progress(one)
    elif action == "rest":
        await come_to_rest(cluster, world)


async def lose(cluster: Cluster, world: World, node: Stage) -> None:
    """Let a node die with its connections; another takes its place."""
    await cluster.lose(node)
    for page in world.pages:
        if page.client is not None and page.client.stage is node:
            page.cut(reads_rest=False)
    await cluster.add()


async def come_to_rest(cluster: Cluster, world: World) -> None:
    """Everything is let go, done, and checked."""
    for node in cluster.nodes:
        cluster.release(node)
    await world.check(cluster)


async def live(run_cluster: RunCluster, history: list[tuple[str, int, int]]) -> None:
    """Run a whole sequence of steps, to its end, where all pages come back."""
    async with run_cluster(SETUP) as cluster:
        world = World()
        await world.begin(cluster, cluster.nodes[0], *CHANNELS)
        for number in range(4):
            page = Page(world)
            world.pages.append(page)
            page.open(await cluster.connect(cluster.nodes[number % len(cluster.nodes)]))
            for channel in CHANNELS[: 1 + number]:
                page.subscribe(channel)
        await come_to_rest(cluster, world)
        for action, one, two in history:
            await act(cluster, world, action, one, two)
        for node in cluster.nodes:
            cluster.release(node)
        for page in world.pages:
            if page.client is None:
                page.open(await cluster.connect(cluster.nodes[0]))
        await come_to_rest(cluster, world)
        for page in world.pages:
            page.cut(reads_rest=True)
        await cluster.settle()
        for node in cluster.nodes:
            assert_nothing_is_left(node)


def assert_nothing_is_left(node: Stage) -> None:
    """No reader, no earlier socket id, no channel but the witness's."""
    assert not node.app.former_connections
    assert set(node.app.channels) <= set(CHANNELS)
    assert all(channel.replays is None and not channel.resumable for channel in node.app.channels.values())
    assert not node.node.replay_queue._pieces
    assert not node.node.replay_queue._questions


SLOW: Final = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(steps)
@settings(max_examples=150, suppress_health_check=SLOW)
async def test_nothing_is_lost_or_doubled_and_no_gap_is_false(history: list[tuple[str, int, int]]) -> None:
    await live(single_cluster, history)


@given(steps)
@settings(max_examples=200, suppress_health_check=SLOW)
async def test_nothing_is_lost_or_doubled_and_no_gap_is_false_over_workers(history: list[tuple[str, int, int]]) -> None:
    await live(hub_cluster, history)

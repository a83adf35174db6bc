"""Arbitrary histories of three nodes, run into each other in arbitrary ways: at rest, everybody knows the truth."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conformance.backplane.cluster import Cluster, RunCluster, Setup
from conformance.backplane.hub_cluster import hub_cluster
from conformance.backplane.invariants import Tab, World
from conformance.backplane.redis_cluster import redis_cluster
from conformance.protocol.stage import APP

CHANNELS: Final = ("presence-a", "presence-b", "private-a", "room")
USERS: Final = ("ann", "bob", "carl")
SETUP: Final = Setup(
    [msgspec.structs.replace(APP, subscription_count=True, max_client_events_per_second=1_000)], 3, None, None
)
ACTIONS: Final = {
    "nothing": 1,  # what a failing history's idle steps become
    "subscribe": 6,
    "unsubscribe": 3,
    "publish": 3,
    "publish but": 1,
    "whisper": 2,
    "vanish": 1,
    "send away": 3,
    "connect": 1,
    "lose": 1,
    "hold": 1,
    "release": 1,
    "rest": 2,
    "progress": 12,
}
steps = st.lists(
    st.tuples(
        st.sampled_from([action for action, weight in ACTIONS.items() for _ in range(weight)]),
        st.integers(0, 999),
        st.integers(0, 999),
    ),
    min_size=40,
    max_size=80,
)


async def act(cluster: Cluster, world: World, action: str, one: int, two: int) -> None:
    """Do one step of a history; the numbers choose the client and the node."""
    node = cluster.nodes[one % len(cluster.nodes)]
    channel = CHANNELS[two % len(CHANNELS)]
    tab: Any = world.tabs[one % len(world.tabs)] if world.tabs else None
    if action == "connect" or tab is None:
        if len(cluster.nodes) < SETUP.nodes:
            node = await cluster.add()
        for held in cluster.nodes:
            cluster.release(held)
        world.tabs.append(Tab(await cluster.connect(node)))
    elif action == "subscribe":
        tab.subscribe(channel, USERS[two // len(CHANNELS) % len(USERS)])
    elif action == "unsubscribe":
        tab.unsubscribe(channel)
    elif action == "publish":
        world.publish(node, channel)
    elif action == "publish but":
        world.publish(cluster.nodes[two % len(cluster.nodes)], channel, tab)
    elif action == "whisper":
        world.whisper(tab, CHANNELS[two % len(CHANNELS[:-1])])
    elif action == "vanish":
        world.vanish(tab)
    elif action == "send away":
        world.send_away(tab)
    elif action == "lose" and len(cluster.nodes) > 1:
        await world.lose(cluster, node)
    elif action == "hold":
        cluster.hold(node)
    elif action == "release":
        cluster.release(node)
    elif action == "progress":
        await cluster.progress(one)
    elif action == "rest":
        await come_to_rest(cluster, world)


async def come_to_rest(cluster: Cluster, world: World) -> None:
    """Everything is let go, done, and checked."""
    for node in cluster.nodes:
        cluster.release(node)
    await cluster.settle()
    await cluster.end_graces()
    await world.check(cluster)


async def live(run_cluster: RunCluster, history: list[tuple[str, int, int]]) -> None:
    """Run a whole history, to its end."""
    async with run_cluster(SETUP) as cluster:
        world = World()
        for number in range(6):
            tab = Tab(await cluster.connect(cluster.nodes[number % 3]))
            world.tabs.append(tab)
            for channel in CHANNELS:
                tab.subscribe(channel, USERS[number // 2])
        await come_to_rest(cluster, world)
        for action, one, two in history:
            await act(cluster, world, action, one, two)
        await come_to_rest(cluster, world)

        for tab in list(world.tabs):
            world.vanish(tab)
        await come_to_rest(cluster, world)


SLOW: Final = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(steps)
@settings(max_examples=200, suppress_health_check=SLOW)
async def test_at_rest_everybody_knows_the_truth(history: list[tuple[str, int, int]]) -> None:
    await live(hub_cluster, history)


@given(steps)
@settings(max_examples=30, suppress_health_check=SLOW, phases=[Phase.generate])
async def test_at_rest_everybody_knows_the_truth_over_redis(history: list[tuple[str, int, int]]) -> None:
    """Fewer, and not made shorter when they fail: each takes a hundred times as long."""
    await live(redis_cluster, history)

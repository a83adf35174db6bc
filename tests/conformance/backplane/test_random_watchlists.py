"""Arbitrary histories of users who sign in and go, on three nodes: at rest, every watcher knows who is online."""

from __future__ import annotations

from typing import Final

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conformance.backplane.cluster import Cluster, RunCluster, Setup
from conformance.backplane.hub_cluster import hub_cluster
from conformance.backplane.redis_cluster import redis_cluster
from conformance.protocol.stage import APP, Client
from soundpost.wire import codes

USERS: Final = ("ann", "bob", "carl")
WATCHLISTS: Final = ((), ("ann",), ("bob", "ann"), ("carl", "ann", "bob"))
SETUP: Final = Setup([msgspec.structs.replace(APP)], 3, None, None)
EVENTS: Final = "pusher_internal:watchlist_events"
ACTIONS: Final = {
    "sign in": 6,
    "vanish": 3,
    "send away": 2,
    "lose": 1,
    "hold": 1,
    "release": 2,
    "rest": 2,
    "progress": 12,
}
steps = st.lists(
    st.tuples(
        st.sampled_from([action for action, weight in ACTIONS.items() for _ in range(weight)]),
        st.integers(0, 999),
        st.integers(0, 999),
    ),
    min_size=30,
    max_size=60,
)


class Tab:
    """A client, the user that it signs in as, and what it was told of the users it watches."""

    def __init__(self, client: Client, user: str, watchlist: tuple[str, ...]) -> None:
        self.client = client
        self.user = user
        self.watchlist = watchlist
        self.states: dict[str, str] = {}

    def read(self) -> None:
        """Take what has come: first the state of each user once, then changes only."""
        for name, data in self.client.events():
            if name != EVENTS:
                continue
            told = [(user, event["name"]) for event in data["events"] for user in event["user_ids"]]
            if not self.states:
                assert sorted(user for user, _ in told) == sorted(self.watchlist)
            for user, state in told:
                assert self.states.get(user) != state, (user, state)
                self.states[user] = state


class World:
    """The clients that are connected."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.tabs: list[Tab] = []

    async def act(self, action: str, one: int, two: int) -> None:
        """Do one step of a history; the numbers choose the client and the node."""
        cluster = self.cluster
        node = cluster.nodes[one % len(cluster.nodes)]
        if action == "sign in":
            client = node.connect()
            if client.admission is None:  # a worker is answered later
                for held in cluster.nodes:
                    cluster.release(held)
                await cluster.settle()
            tab = Tab(client, USERS[two % 3], WATCHLISTS[two // 3 % 4])
            client.sign_in({"id": tab.user, "watchlist": tab.watchlist})
            self.tabs.append(tab)
        elif action in ("vanish", "send away") and self.tabs:
            tab = self.tabs.pop(two % len(self.tabs))
            if action == "vanish":
                tab.client.vanish()
            else:
                tab.client.end(codes.GENERIC_RECONNECT, "")
        elif action == "lose" and len(cluster.nodes) > 1:
            self.tabs = [tab for tab in self.tabs if tab.client.stage is not node]
            await cluster.lose(node)
        elif action == "hold":
            cluster.hold(node)
        elif action == "release":
            cluster.release(node)
        elif action == "progress":
            await cluster.progress(one)
        elif action == "rest":
            await self.rest()

    async def rest(self) -> None:
        """Let everything be done, and check what each client was told."""
        for node in self.cluster.nodes:
            self.cluster.release(node)
        await self.cluster.settle()
        await self.cluster.end_graces()
        await self.cluster.settle()
        online = {tab.user for tab in self.tabs}
        for tab in self.tabs:
            tab.read()
            expected = {user: "online" if user in online else "offline" for user in tab.watchlist}
            assert tab.states == expected, (tab.user, tab.states, expected)
        for node in self.cluster.nodes:
            here = [tab for tab in self.tabs if tab.client.stage is node]
            assert node.app.watched.keys() == {user for tab in here for user in tab.watchlist}


async def live(run_cluster: RunCluster, history: list[tuple[str, int, int]]) -> None:
    """Run a whole history, to its end."""
    async with run_cluster(SETUP) as cluster:
        world = World(cluster)
        for number, node in enumerate(cluster.nodes):
            await world.act("sign in", number, 9 + number)
            assert node.app.users
        for action, one, two in history:
            await world.act(action, one, two)
        await world.rest()


SLOW: Final = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(steps)
@settings(max_examples=50, suppress_health_check=SLOW)
async def test_at_rest_every_watcher_knows_who_is_online(history: list[tuple[str, int, int]]) -> None:
    await live(hub_cluster, history)


@given(steps)
@settings(max_examples=15, suppress_health_check=SLOW, phases=[Phase.generate])
async def test_at_rest_every_watcher_knows_who_is_online_over_redis(history: list[tuple[str, int, int]]) -> None:
    """Fewer, and not made shorter when they fail."""
    await live(redis_cluster, history)

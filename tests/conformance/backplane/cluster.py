"""Several nodes that act as one, as a test sees them, whatever connects them.

An implementation for a backplane is a function that runs a cluster as a :class:`Setup` says; ``conftest.py`` lists
them, and every test of this folder runs with each. Nothing happens between the nodes while a test does not await.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple, Protocol

from conformance.protocol.stage import Client, Message, Stage
from soundpost.backplane.memory_registry import MemoryRegistry
from soundpost.backplane.occupancy import Occupancy
from soundpost.core.app_settings import AppSettings
from soundpost.core.inspection import Question
from soundpost.core.observer import Observer
from soundpost.core.peers import ChannelsQuery, Query
from soundpost.server.inspection.inspector import Inspector
from soundpost.server.inspection.joining import Joined

SUCCEEDED: Final = "pusher_internal:subscription_succeeded"
ADDED: Final = "pusher_internal:member_added"
REMOVED: Final = "pusher_internal:member_removed"
COUNT: Final = "pusher_internal:subscription_count"


def names(client: Client) -> list[str]:
    """Return the names of the messages that a client got since the last read."""
    return [name for name, _ in client.events()]


def leave(client: Client, channel: str) -> None:
    """Send an unsubscription."""
    client.say("pusher:unsubscribe", {"channel": channel})


class Setup(NamedTuple):
    """Settings of a cluster."""

    apps: Sequence[AppSettings]
    nodes: int
    server_max_connections: int | None
    """Largest number of connections of all apps together."""
    observer: Callable[[], Observer] | None
    """Makes one for each node."""


RunCluster = Callable[[Setup], AbstractAsyncContextManager["Cluster"]]


class Start(Protocol):
    """Starts a cluster with one app (``options`` are the app's), or with several."""

    async def __call__(
        self,
        *apps: AppSettings,
        nodes: int = 3,
        server_max_connections: int | None = None,
        observer: Callable[[], Observer] | None = None,
        **options: Any,
    ) -> Cluster:
        """Start it; it is stopped at the end of the test."""


class Cluster(ABC):
    """``nodes`` are those that live."""

    nodes: list[Stage]

    one_order: bool
    """True if all nodes have the events of all nodes in one order; else each node's events keep their own order."""

    @abstractmethod
    async def settle(self) -> None:
        """Wait until everything that is under way between the nodes has been done, but for what is held back."""

    @abstractmethod
    async def progress(self, choice: int) -> None:
        """Let a little of what is under way be done; ``choice`` selects what, where there is a choice."""

    @abstractmethod
    def hold(self, node: Stage) -> None:
        """Hold back what a node tells the others, and what they tell it."""

    @abstractmethod
    def release(self, node: Stage) -> None:
        """Let go what was held back, in its order."""

    @abstractmethod
    async def lose(self, node: Stage) -> None:
        """Let a node die without a word, and its members' grace end: the others have noticed after :meth:`settle`."""

    @abstractmethod
    async def retire(self, node: Stage) -> None:
        """Let a node end whose clients are to come back: a worker in whatever way, a host in order."""

    @abstractmethod
    async def end_graces(self) -> None:
        """Let so much time pass that all graces are over."""

    @abstractmethod
    async def add(self) -> Stage:
        """Add a node."""

    @abstractmethod
    def inspector(self, node: Stage) -> Inspector:
        """Return the inspector of a node's host; nodes are named ``node 1``, ``node 2`` and so on."""

    @abstractmethod
    def occupancies(self) -> list[tuple[Occupancy, list[str], int]]:
        """Return the occupancy of an app at each registry, with the channels there are, and the number of members."""

    @abstractmethod
    def heard(self, node: Stage) -> int:
        """Return the number of events of other nodes that have come to a node so far."""

    @abstractmethod
    async def pass_seconds(self) -> None:
        """Let so much time pass that what need not be done at once is done."""

    async def ask(self, node: Stage, query: Query) -> Any:
        """Return a node's answer to a query about all nodes."""
        answers: list[Any] = []
        node.node.peers.ask(query, answers.append)
        await self.settle()
        (answer,) = answers
        return json.loads(answer) if isinstance(query, ChannelsQuery) else answer

    async def inspect(self, node: Stage, question: Question) -> Joined[Any]:
        """Return the joined reply of all nodes to a question that is asked at one of them."""
        ask: Callable[[Question], Coroutine[Any, Any, Joined[Any]]] = self.inspector(node).ask
        reply = asyncio.ensure_future(ask(question))
        while not reply.done():
            await asyncio.sleep(0)
            await self.settle()
        return await reply

    async def connect(self, node: Stage, app_id: str = "1") -> Client:
        """Return a new connection that has read its hello."""
        client = node.open(app_id)
        await self.settle()
        assert [message["event"] for message in client.read()] == ["pusher:connection_established"]
        return client

    async def join(
        self, node: Stage, *channels: str, user: str | int | None = None, info: Any = None, app_id: str = "1"
    ) -> Client:
        """Return a new connection that is subscribed, and has read the answers."""
        client = await self.connect(node, app_id)
        for channel in channels:
            client.ask(channel, None if user is None else {"user_id": user, "user_info": info})
        await self.settle()
        names = [message["event"] for message in client.read()]
        assert names.count("pusher_internal:subscription_succeeded") == len(channels), names
        return client


def occupancies_in_memory(registry: MemoryRegistry) -> list[tuple[Occupancy, list[str], int]]:
    """Return what :meth:`Cluster.occupancies` does, for a registry in memory."""
    found = []
    for entry in registry._apps.values():
        known = {**entry.lingering.channels, **entry.channels}.values()
        members = sum(len(channel.members) for channel in known if channel.members is not None)
        found.append((entry.occupancy, list(entry.channels), members))
    return found


async def read_all(cluster: Cluster, client: Client) -> list[Message]:
    """Return all that has come, and all that follows from it."""
    found: list[Message] = []
    while True:
        await cluster.settle()
        more = client.read()
        if not more:
            return found
        found += more

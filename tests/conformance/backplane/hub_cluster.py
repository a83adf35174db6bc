"""Nodes connected by the hub, in one process: its real messages, as bytes, on streams that move when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from conformance.backplane.cluster import Cluster, Setup, occupancies_in_memory
from conformance.protocol.recorded_webhooks import RecordedWebhooks
from conformance.protocol.stage import Stage
from soundpost.backplane.hub import Hub, WorkerEnd
from soundpost.backplane.hub_framing import Message, MessageReader, encode
from soundpost.backplane.hub_messages import EventMessage
from soundpost.backplane.hub_peers import HubPeers
from soundpost.backplane.memory_registry import MemoryRegistry
from soundpost.backplane.occupancy import Occupancy
from soundpost.core.inspection import Inspectable
from soundpost.server.inspection.host_inspection import HostInspection
from soundpost.server.inspection.inspector import Inspector
from support.hub_stream import arrived, feed


@asynccontextmanager
async def hub_cluster(setup: Setup) -> AsyncIterator[Cluster]:
    """Run nodes around a hub."""
    cluster = HubCluster(setup)
    for _ in range(setup.nodes):
        await cluster.add()
    yield cluster


one_order = pytest.mark.parametrize("run_cluster", [hub_cluster], ids=["hub"])
"""Mark of tests for one host only: the same order of events everywhere, and a limit of connections per host."""


class Stream:
    """Bytes on their way in one direction."""

    def __init__(self, receive: Callable[[Message], None]) -> None:
        self._receive = receive
        self._reader = MessageReader()
        self._bytes = b""
        self.held = False
        self.events = 0
        """Number of events that have arrived."""

    def send(self, message: Message) -> None:
        self._bytes += encode(message)

    @property
    def moves(self) -> bool:
        """Tell whether bytes are on their way."""
        return bool(self._bytes) and not self.held

    def move(self, size: int) -> None:
        """Let so many bytes arrive."""
        data, self._bytes = self._bytes[:size], self._bytes[size:]
        feed(self._reader, data)
        for message in arrived(self._reader):
            self.events += isinstance(message, EventMessage)
            self._receive(message)


class Spoke:
    """A node with its two streams."""

    def __init__(self, setup: Setup, hub: Hub) -> None:
        self.to_hub = Stream(lambda message: self.end.handle(message))
        peers = HubPeers(self.to_hub.send, lambda: None)
        observers = [] if setup.observer is None else [setup.observer()]
        self.stage = Stage(*setup.apps, peers=peers, observers=observers)
        self.to_node = Stream(peers.handle)
        self.end: WorkerEnd = hub.add(self.to_node.send)
        self.end.has_observers = bool(observers)

    @property
    def streams(self) -> tuple[Stream, Stream]:
        return self.to_hub, self.to_node


class HubCluster(Cluster):
    """A hub and its spokes."""

    one_order = True

    def __init__(self, setup: Setup) -> None:
        self.nodes = []
        self._setup = setup
        self._now = 0.0
        self.webhooks = RecordedWebhooks()
        self._registry = MemoryRegistry(
            setup.apps,
            max_connections=setup.server_max_connections,
            clock=lambda: self._now,
            webhooks=self.webhooks,
        )
        self._hub = Hub(self._registry)
        self._spokes: dict[Stage, Spoke] = {}

    async def settle(self) -> None:
        self._end_turns()
        while moving := self._moving():
            for stream in moving:
                stream.move(1 << 30)
            self._end_turns()

    async def progress(self, choice: int) -> None:
        choices: list[Stream | Stage] = [*self._moving(), *self.nodes]
        size, index = divmod(choice, len(choices))
        chosen = choices[index]
        if isinstance(chosen, Stream):
            chosen.move(1 + size)
        else:
            chosen.turn()

    def hold(self, node: Stage) -> None:
        for stream in self._spokes[node].streams:
            stream.held = True

    def release(self, node: Stage) -> None:
        for stream in self._spokes[node].streams:
            stream.held = False

    async def lose(self, node: Stage) -> None:
        await self.retire(node)
        await self.end_graces()

    async def retire(self, node: Stage) -> None:
        self.nodes.remove(node)
        self._hub.remove(self._spokes.pop(node).end)

    async def end_graces(self) -> None:
        self._now += 60
        self._hub.housekeep()

    async def add(self) -> Stage:
        spoke = Spoke(self._setup, self._hub)
        self._spokes[spoke.stage] = spoke
        self.nodes.append(spoke.stage)
        return spoke.stage

    def inspector(self, node: Stage) -> Inspector:
        def serving() -> dict[str, Inspectable]:
            return {f"node {number}": spoke.end for number, spoke in enumerate(self._spokes.values(), 1)}

        return Inspector("hub", HostInspection(serving), None, self._hub.registry.answer)

    def occupancies(self) -> list[tuple[Occupancy, list[str], int]]:
        return occupancies_in_memory(self._registry)

    def heard(self, node: Stage) -> int:
        return self._spokes[node].to_node.events

    async def pass_seconds(self) -> None:
        self._hub.housekeep()

    def _moving(self) -> list[Stream]:
        return [stream for spoke in self._spokes.values() for stream in spoke.streams if stream.moves]

    def _end_turns(self) -> None:
        for node in self.nodes:
            node.turn()

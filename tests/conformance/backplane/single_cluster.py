"""One node alone: what holds for several nodes that act as one holds for it too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from conformance.backplane.cluster import Cluster, Setup, occupancies_in_memory
from conformance.protocol.stage import Stage
from soundpost.backplane.occupancy import Occupancy
from soundpost.server.inspection.host_inspection import HostInspection
from soundpost.server.inspection.inspector import Inspector


@asynccontextmanager
async def single_cluster(setup: Setup) -> AsyncIterator[Cluster]:
    """Run one node, however many are wanted."""
    yield SingleCluster(setup)


class SingleCluster(Cluster):
    """A node without others. Nothing can be held back, and nobody is left to notice its death."""

    one_order = True

    def __init__(self, setup: Setup) -> None:
        observers = [] if setup.observer is None else [setup.observer()]
        self._stage = Stage(*setup.apps, observers=observers)
        self.nodes = [self._stage]

    async def settle(self) -> None:
        self._stage.turn()

    async def progress(self, choice: int) -> None:
        due = self._stage._soon[: 1 + choice % 3]
        del self._stage._soon[: len(due)]
        for callback in due:
            callback()

    def hold(self, node: Stage) -> None:
        pass

    def release(self, node: Stage) -> None:
        pass

    async def lose(self, node: Stage) -> None:
        raise AssertionError("the only node cannot be lost")

    async def retire(self, node: Stage) -> None:
        await self.lose(node)

    async def end_graces(self) -> None:
        self._stage.now += 60
        self._stage.registry.housekeep()

    async def add(self) -> Stage:
        raise AssertionError("the only node stays alone")

    def occupancies(self) -> list[tuple[Occupancy, list[str], int]]:
        return occupancies_in_memory(self._stage.registry)

    def inspector(self, node: Stage) -> Inspector:
        nodes = HostInspection(lambda: {"node 1": self._stage.node})
        return Inspector("node 1", nodes, None, self._stage.registry.answer)

    def heard(self, node: Stage) -> int:
        return 0

    async def pass_seconds(self) -> None:
        self._stage.registry.housekeep()

"""The figures of a host's workers, gathered by their parent; those of workers that have ended stay in the sum."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from soundpost.backplane.hub_messages import GetFigures
from soundpost.core.figures import NodeFigures, add_up
from soundpost.server.figures.host_figures import WorkerFigures
from soundpost.server.processes.worker_process import WorkerProcess

TIME_TO_ANSWER: Final = 1.0
"""Seconds that workers have to answer; the last figures stand in for a missing answer."""


class FiguresOfWorkers:
    """The figures of each worker as last heard, and the sum of those that have ended."""

    def __init__(self) -> None:
        self._ended = NodeFigures()
        self._latest: dict[WorkerProcess, NodeFigures] = {}
        self._asked: dict[WorkerProcess, asyncio.Future[None]] = {}

    def take(self, worker: WorkerProcess, figures: NodeFigures) -> None:
        """Take the figures that a worker has sent."""
        self._latest[worker] = figures
        self._answered(worker)

    def end(self, worker: WorkerProcess) -> None:
        """Keep the totals of a worker's process that has ended."""
        figures = self._latest.pop(worker, None)
        if figures is not None:
            add_up(self._ended, without_present(figures))
        self._answered(worker)

    def _answered(self, worker: WorkerProcess) -> None:
        asked = self._asked.pop(worker, None)
        if asked is not None and not asked.done():
            asked.set_result(None)

    async def ask(self, workers: Iterable[WorkerProcess]) -> None:
        """Ask workers for their figures; return when all have answered, or the time to answer is over."""
        loop = asyncio.get_running_loop()
        for worker in workers:
            if worker.runs and worker.capacity and worker not in self._asked:
                self._asked[worker] = loop.create_future()
                worker.link.send(GetFigures())
        if self._asked:
            await asyncio.wait(list(self._asked.values()), timeout=TIME_TO_ANSWER)

    def total(self, *more: NodeFigures) -> NodeFigures:
        """Return the sum of all workers, of those that have ended, and of ``more``."""
        total = NodeFigures()
        for figures in (self._ended, *self._latest.values(), *more):
            add_up(total, figures)
        return total

    def lines(self, workers: Iterable[WorkerProcess]) -> list[WorkerFigures]:
        """Return the figures of each worker; one that has died, and waits for its next start, has the pid 0."""
        return [
            worker_figures(worker.number, worker.pid, self._latest.get(worker, NodeFigures()), worker.restarts)
            for worker in workers
        ]


def worker_figures(number: int, pid: int, figures: NodeFigures, restarts: int = 0) -> WorkerFigures:
    """Return the figures of a process that are shown for each process."""
    return WorkerFigures(
        number=number,
        pid=pid,
        connections=sum(app.connections for app in figures.apps.values()),
        cpu=figures.cpu,
        memory=figures.memory,
        lag_max=figures.lag_max,
        restarts=restarts,
    )


def without_present(figures: NodeFigures) -> NodeFigures:
    """Return the figures of a process that has ended: its totals, without open connections and files."""
    figures.memory = figures.open_files = figures.max_open_files = 0
    figures.lag_max = 0.0
    for app in figures.apps.values():
        app.connections = app.subscriptions = 0
        app.closed, app.unsubscribed = app.opened, app.subscribed
    return figures

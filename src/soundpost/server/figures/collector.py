"""The collector: takes the figures of a host every 5 s, keeps the last hour, and exchanges them with other hosts."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.figures.timeline import STEP, Timeline

if TYPE_CHECKING:
    from soundpost.server.processes.daemon import Daemon

log = logging.getLogger("soundpost.server")


class FiguresCollector:
    """The figures of this host, its last hour, and the figures of all hosts. ``step`` is in seconds."""

    def __init__(self, daemon: Daemon, step: float = STEP) -> None:
        self._daemon = daemon
        self._step = step
        self._task: asyncio.Task[None] | None = None
        self._taking: asyncio.Task[HostFigures] | None = None
        self.timeline = Timeline()

    def start(self) -> None:
        """Begin to take the figures regularly."""
        if self._task is None:
            self._task = asyncio.create_task(self._collect())

    async def stop(self) -> None:
        """Stop collecting, and remove this host's figures from those of the cluster."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._taking is not None:
            self._taking.cancel()
        if self._daemon.backplane is not None:
            self._daemon.backplane.figures.withdraw()

    async def host_figures(self) -> HostFigures:
        """Return the figures of this host now. Calls at the same time share one result."""
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._daemon.figures())
        return await asyncio.shield(self._taking)

    async def cluster_figures(self) -> list[HostFigures]:
        """Return the figures of all hosts: of this one now, then those that the others have stated last, by name."""
        own = await self.host_figures()
        if self._daemon.backplane is None:
            return [own]
        others = [_decoded(stated) for stated in await self._daemon.backplane.figures.of_others()]
        return [own, *sorted((each for each in others if each is not None), key=lambda each: (each.name, each.node))]

    async def _collect(self) -> None:
        due = time.monotonic()
        while True:
            try:
                figures = await self.host_figures()
                self.timeline.add(figures)
                if self._daemon.backplane is not None:
                    self._daemon.backplane.figures.state(msgspec.json.encode(figures))
            except Exception:
                log.exception("the figures of this host could not be taken")
            due = max(due + self._step, time.monotonic())
            await asyncio.sleep(due - time.monotonic())


def _decoded(data: bytes) -> HostFigures | None:
    """Return the figures of another host; None if they are of another version's form, or somebody else's."""
    try:
        return msgspec.json.decode(data, type=HostFigures)
    except msgspec.DecodeError as error:
        log.debug("the figures of another host cannot be read: %s", error)
        return None

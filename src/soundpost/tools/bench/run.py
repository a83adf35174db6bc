"""Course of a run: connect, publish, wait for the last events, collect the reports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from soundpost.tools.bench.children import Child, send_to_all
from soundpost.tools.bench.cpu_usage import MachineMeter
from soundpost.tools.bench.messages import (
    BenchPlan,
    ChildReady,
    Connect,
    Endpoint,
    Finish,
    Progress,
    PublisherReport,
    ReceiverReport,
    Start,
    Stop,
    Stopped,
)
from soundpost.tools.bench.scenario import BenchSettings
from soundpost.wire.addresses import is_loopback_host

IDLE_LIMIT: Final = 5.0
"""Seconds without any delivery, after the last publication, until missing events are lost."""
_IDLE_LIMIT_INTERRUPTED: Final = 1.0
_LOOK_PERIOD: Final = 0.2
_LEAD: Final = 0.2  # seconds from the command Start to the start

ShowProgress = Callable[[str, Progress, float], None]
"""Function called several times a second with the phase, the progress of all processes, and the share done."""


class RunResult(msgspec.Struct, kw_only=True):
    """Reports of all processes. Times in nanoseconds of the monotonic clock; 0 if the run never started.

    ``local``: the server is on this machine too. ``machine_busy``: share of all its cores in use, None if unknown.
    """

    settings: BenchSettings
    base_url: str
    began: str
    interrupted: bool
    started_at: int
    stopped_at: int
    local: bool
    machine_busy: float | None
    publisher: PublisherReport
    receivers: list[ReceiverReport]


def connect_limit(connections: int) -> float:
    """Return the seconds in which all connections must open."""
    return 20.0 + connections / 100


async def run(settings: BenchSettings, endpoint: Endpoint, show: ShowProgress, interrupted: asyncio.Event) -> RunResult:
    """Run the benchmark. Once ``interrupted`` is set, the run ends in order and returns the figures so far.

    Raises SoundpostError if a child process fails. Every child process has ended on return, and after errors.
    """
    began = datetime.now(UTC).isoformat(timespec="seconds")
    async with AsyncExitStack() as stack:

        async def child(plan: BenchPlan) -> Child:
            started = await Child.start(plan)
            stack.push_async_callback(started.end)
            return started

        publisher = await child(BenchPlan(role="publisher", index=0, settings=settings, endpoint=endpoint))
        receivers = [
            await child(BenchPlan(role="receiver", index=index, settings=settings, endpoint=endpoint))
            for index in range(settings.processes)
        ]
        phases = _Phases(settings, receivers, publisher, show, interrupted)
        await phases.connect()
        await phases.publish()
        publisher_report, receiver_reports = await phases.finish()
        return RunResult(
            settings=settings,
            base_url=endpoint.base_url,
            began=began,
            interrupted=interrupted.is_set(),
            started_at=phases.started_at,
            stopped_at=phases.stopped_at,
            local=is_loopback_host(endpoint.address),
            machine_busy=phases.machine_busy,
            publisher=publisher_report,
            receivers=receiver_reports,
        )


class _Phases:
    """Phases of a run."""

    def __init__(
        self,
        settings: BenchSettings,
        receivers: Sequence[Child],
        publisher: Child,
        show: ShowProgress,
        interrupted: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._receivers = receivers
        self._publisher = publisher
        self._show = show
        self._interrupted = interrupted
        self.started_at = 0
        self.stopped_at = 0
        self.machine_busy: float | None = None

    async def connect(self) -> None:
        """Open all connections, in all processes."""
        command = Connect(connect_limit(self._settings.connections))
        await self._unless_interrupted(
            send_to_all([*self._receivers, self._publisher], command, ChildReady),
            lambda now: self._show("connecting", now, (now.open + now.failed) / self._settings.connections),
        )

    async def publish(self) -> None:
        """Publish for the duration of the run, or until no connection is left."""
        if self._interrupted.is_set() or not self._progress().open:
            return
        at = time.monotonic_ns() + int(_LEAD * 1e9)
        # All receivers know the time before the first event is sent: they count by seconds of the run.
        await send_to_all(self._receivers, Start(at), ChildReady)
        await send_to_all([self._publisher], Start(at), ChildReady)
        self.started_at = at
        machine = MachineMeter()
        await self._unless_interrupted(
            self._run_time(), lambda now: self._show("running", now, self._elapsed() / self._settings.duration)
        )
        self.machine_busy = machine.share()

    async def finish(self) -> tuple[PublisherReport, list[ReceiverReport]]:
        """Stop publishing, wait for the last events, and return the reports."""
        published, *moved = await send_to_all([self._publisher, *self._receivers], Stop(), Stopped)
        self.stopped_at = time.monotonic_ns()
        self._show("waiting for the last events", self._progress(), 1.0)
        settings = self._settings
        command = Finish(
            sent=published.sent or [0] * settings.streams,
            unconfirmed=published.unconfirmed,
            notices=[sum(each.moves[channel] for each in moved) for channel in range(settings.channels)],
            idle_limit=_IDLE_LIMIT_INTERRUPTED if self._interrupted.is_set() else IDLE_LIMIT,
        )
        receivers = await send_to_all(self._receivers, command, ReceiverReport)
        (publisher,) = await send_to_all([self._publisher], command, PublisherReport)
        return publisher, receivers

    async def _run_time(self) -> None:
        # One Progress is not enough: it is as old as the period between two.
        gone = 0
        while self._elapsed() < self._settings.duration and gone < 5:
            gone = 0 if self._progress().open else gone + 1
            await asyncio.sleep(min(_LOOK_PERIOD, max(0.0, self._settings.duration - self._elapsed())))

    async def _unless_interrupted(self, doing: Coroutine[Any, Any, Any], show: Callable[[Progress], None]) -> None:
        """Wait for ``doing`` and show the progress; stop at an interruption."""
        task = asyncio.ensure_future(doing)
        interruption = asyncio.create_task(self._interrupted.wait())
        try:
            while not task.done() and not interruption.done():
                show(self._progress())
                await asyncio.wait((task, interruption), timeout=_LOOK_PERIOD, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
        finally:
            task.cancel()
            interruption.cancel()

    def _progress(self) -> Progress:
        every = [child.progress for child in (*self._receivers, self._publisher)]
        return Progress(
            open=sum(each.open for each in every),
            failed=sum(each.failed for each in every),
            received=sum(each.received for each in every),
            published=sum(each.published for each in every),
        )

    def _elapsed(self) -> float:
        return (time.monotonic_ns() - self.started_at) / 1e9

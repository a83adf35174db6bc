"""Publishing the events of a run when they are due, over several connections with streams of their own."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from soundpost.tools.bench.api_connection import ApiConnection
from soundpost.tools.bench.cpu_usage import CpuMeter
from soundpost.tools.bench.error_counts import ErrorCounts
from soundpost.tools.bench.histogram import LatencyHistogram
from soundpost.tools.bench.messages import BenchPlan, Progress, PublisherReport, Stopped
from soundpost.tools.bench.payload import EVENT_NAME, event_data
from soundpost.tools.bench.tls import tls_context
from soundpost.wire.signatures import signed_query

_SECOND: Final = 1_000_000_000
_PAUSE_AFTER_FAILURE: Final = 0.1
"""Seconds a publisher waits after a failure, so that it does not ask a dead server a thousand times a second."""


class Publishing:
    """All publishers of a run, in one process."""

    def __init__(self, plan: BenchPlan, cpu: CpuMeter) -> None:
        self._settings = plan.settings
        self._endpoint = plan.endpoint
        self._cpu = cpu
        self._path = (
            f"{urlsplit(plan.endpoint.base_url).path.rstrip('/')}/apps/{quote(plan.endpoint.app_id, safe='')}/events"
        )
        self._host = urlsplit(plan.endpoint.base_url).netloc
        tls = tls_context(plan.endpoint)
        self._connections = [ApiConnection(plan.endpoint, tls) for _ in range(plan.settings.publishers)]
        self._sent = [0] * plan.settings.streams
        self._unconfirmed: list[tuple[int, int]] = []
        self._published = 0
        self._failed = 0
        self._last_at = 0
        self._seconds: list[int] = []
        self._answer = LatencyHistogram()
        self._delay = LatencyHistogram()
        self._faults = ErrorCounts()
        self._started_at = 0
        self._running: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()

    async def connect(self, limit: float) -> None:
        """Open the connections within ``limit`` seconds; a failed one is opened, or reported, at its next event."""
        async with asyncio.timeout(limit):
            await asyncio.gather(*(each.connect() for each in self._connections), return_exceptions=True)

    def start(self, at: int) -> None:
        """Begin publishing ``at`` this time, in nanoseconds of the monotonic clock."""
        self._started_at = at
        if self._settings.publishes:
            self._running = [
                asyncio.create_task(self._publish(publisher, connection))
                for publisher, connection in enumerate(self._connections)
            ]

    async def stop(self) -> Stopped:
        """Stop publishing, and wait for the answers to the published events."""
        self._over.set()
        await asyncio.gather(*self._running)
        for connection in self._connections:
            connection.close()
        return Stopped(sent=self._sent, unconfirmed=self._unconfirmed)

    def progress(self) -> Progress:
        """Return the numbers of events published and failed so far."""
        return Progress(failed=self._failed, published=self._published)

    def report(self) -> PublisherReport:
        """Return the measurements of all publishers."""
        return PublisherReport(
            published=self._published,
            failed=self._failed,
            last_at=self._last_at,
            seconds=self._seconds,
            answer=self._answer,
            delay=self._delay,
            error_counts=self._faults,
            cpu=self._cpu.report(),
        )

    async def _publish(self, publisher: int, connection: ApiConnection) -> None:
        """Publish to the streams of one publisher in turn, each event when due and the one before is answered."""
        streams = itertools.cycle(self._settings.streams_by(publisher))
        for due in self._due_times(publisher):
            if not await self._wait_until(due):
                return
            try:
                await connection.connect()
            except OSError as error:  # TimeoutError is one of them
                # Not sent: no number is used, and no client expects the event.
                await self._note("connect", str(error) or "no answer in time")
                continue
            await self._send(connection, next(streams), due)

    def _due_times(self, publisher: int) -> Iterator[int]:
        """Yield the times at which a publisher's events are due, in nanoseconds; at a rate of 0, the present."""
        start, end = self._started_at, self._started_at + int(self._settings.duration * _SECOND)
        if self._settings.rate:
            apart = _SECOND / self._settings.rate
            for number in itertools.count(publisher, self._settings.publishers):
                due = start + int(number * apart)
                if due >= end:
                    return
                yield due
        else:
            yield start
            while (now := time.monotonic_ns()) < end:
                yield now

    async def _wait_until(self, due: int) -> bool:
        """Wait until a time in nanoseconds; return False if the run is over."""
        left = (due - time.monotonic_ns()) / _SECOND
        if left > 0 and not self._over.is_set():
            try:
                async with asyncio.timeout(left):
                    await self._over.wait()
            except TimeoutError:
                pass
        end = self._started_at + int(self._settings.duration * _SECOND)
        return not self._over.is_set() and time.monotonic_ns() < end

    async def _send(self, connection: ApiConnection, stream: int, due: int) -> None:
        number = self._sent[stream]
        self._sent[stream] += 1
        sent_at = time.monotonic_ns()
        request = self._request(stream, event_data(stream, number, sent_at, self._settings.size))
        try:
            answer = await connection.request(request)
        except OSError as error:
            self._unconfirmed.append((stream, number))
            await self._note("no answer in time" if isinstance(error, TimeoutError) else "connection lost", str(error))
            return
        now = time.monotonic_ns()
        if answer.status != 200:
            self._unconfirmed.append((stream, number))
            await self._note(f"HTTP {answer.status}", answer.body.decode(errors="replace"))
            return
        self._published += 1
        self._last_at = now
        self._answer.add(now - sent_at)
        self._delay.add(sent_at - due)
        second = max(0, now - self._started_at) // _SECOND
        while len(self._seconds) <= second:
            self._seconds.append(0)
        self._seconds[second] += 1

    async def _note(self, kind: str, example: str) -> None:
        self._failed += 1
        self._faults.add(f"publish: {kind}", example)
        await asyncio.sleep(_PAUSE_AFTER_FAILURE)

    def _request(self, stream: int, data: bytes) -> bytes:
        channel = self._settings.channel(self._settings.channel_of_stream(stream)).encode()
        body = b'{"name":"%b","channels":["%b"],"data":"%b"}' % (EVENT_NAME.encode(), channel, data)
        endpoint = self._endpoint
        query = signed_query(endpoint.key, endpoint.secret, "POST", self._path, int(time.time()), body=body)
        head = (
            f"POST {self._path}?{urlencode(query)} HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: soundpost-bench\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

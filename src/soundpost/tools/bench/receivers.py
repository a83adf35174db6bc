"""Connections of one process: opened, kept, reconnected, pinged."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from soundpost.http_failures import no_answer
from soundpost.tools.bench.client import BenchClient, SubscribeFailedError, upgrade_request
from soundpost.tools.bench.cpu_usage import CpuMeter
from soundpost.tools.bench.histogram import LatencyHistogram
from soundpost.tools.bench.messages import BenchPlan, Finish, Progress, ReceiverReport, Stopped
from soundpost.tools.bench.scenario import MOVE_PERIOD, PING_PERIOD, Scenario
from soundpost.tools.bench.tally import Tally
from soundpost.tools.bench.tls import tls_context

IN_FLIGHT: Final = 64
"""Connections that each process opens at the same time."""
ANSWER_TIMEOUT: Final = 10.0
"""Seconds that a server may take from the TCP connect to the subscription's success."""
DRAIN_LIMIT: Final = 60.0
"""Seconds after the last publication until an event that has not arrived is lost."""
LOOPBACK_ADDRESSES: Final = 200
_DRAIN_STEP: Final = 0.05
_IP_BIND_ADDRESS_NO_PORT: Final = 24  # Linux's number; the socket module of Python 3.11 has no name for it


class Receivers:
    """Connections of one process: those whose number, modulo processes, is the index of the process."""

    def __init__(self, plan: BenchPlan, cpu: CpuMeter) -> None:
        self._settings = plan.settings
        self._endpoint = plan.endpoint
        self._cpu = cpu
        self._numbers = range(plan.index, plan.settings.connections, plan.settings.processes)
        self._request = upgrade_request(plan.endpoint)
        self._tls = tls_context(plan.endpoint)
        self._tally = Tally()
        self._clients: dict[int, BenchClient] = {}
        self._subscribe = LatencyHistogram()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._failed = 0
        self._opened = 0
        self._reconnected = 0
        self._connect_time = 0.0
        self._moves = [0] * plan.settings.channels
        self._moving: list[asyncio.Task[None]] = []

    async def connect(self, limit: float) -> None:
        """Open all connections, within ``limit`` seconds."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                await asyncio.gather(*(self._first(number) for number in self._numbers))
        except TimeoutError:
            left = len(self._numbers) - self._opened - self._failed
            self._failed += left
            self._tally.error_counts.add(f"not connected within {limit:.0f} s", count=left)
        finally:
            self._connect_time = time.monotonic() - started

    def start(self, at: int) -> None:
        """Begin the run ``at`` a time, in nanoseconds of the monotonic clock."""
        self._tally.started_at = at
        for client in list(self._clients.values()):
            if self._settings.scenario is Scenario.IDLE:
                self._moving.append(asyncio.create_task(self._ping(client)))
            elif client.passing:
                act = self._leave_and_return if self._settings.scenario is Scenario.PRESENCE else self._reconnect
                self._moving.append(asyncio.create_task(act(client)))

    async def stop(self) -> Stopped:
        """Stop leaving, reconnecting and pinging."""
        for task in self._moving:
            task.cancel()
        for result in await asyncio.gather(*self._moving, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        return Stopped(moves=self._moves)

    def progress(self) -> Progress:
        """Return the progress of this process."""
        # Every connection is looked at, four times a second: counting as they come and go would need care in many
        # places, and this is a thousandth of the work.
        return Progress(
            open=sum(client.is_open for client in self._clients.values()),
            failed=self._failed,
            received=self._tally.received + self._tally.passing,
        )

    async def finish(self, finish: Finish) -> ReceiverReport:
        """Wait for the last events and return the report."""
        accounts = self._accounts(finish)
        unconfirmed: dict[int, set[int]] = {}
        for stream, number in finish.unconfirmed:
            unconfirmed.setdefault(stream, set()).add(number)
        stable = [client for client in self._clients.values() if not client.passing]
        numbered = sum(sum(accounts[client.channel].values()) for client in stable)
        refused = [
            (client, stream, number)
            for client in stable
            for stream, number in finish.unconfirmed
            if number < accounts[client.channel].get(stream, 0)
        ]

        def received() -> int:
            """Return how many of the expected events have come: without those that the server has not confirmed."""
            return self._tally.received - sum(
                client.sequences.has(stream, number) for client, stream, number in refused
            )

        expected = numbered - len(refused)
        notices = sum(finish.notices[self._settings.channel_of(client.number)] for client in stable)
        await self._drain(
            stable, lambda: self._tally.received >= expected and received() >= expected, notices, finish.idle_limit
        )
        self._cpu.drained()
        seconds = max(1, round(self._settings.duration), len(self._tally.seconds))
        lost = self._tally.finish(self._clients.values(), accounts, unconfirmed, seconds - 1)
        return ReceiverReport(
            opened=self._opened,
            failed=self._failed,
            dropped=self._tally.dropped,
            reconnected=self._reconnected,
            connect_time=self._connect_time,
            subscribe=self._subscribe,
            expected=expected,
            received=received(),
            passing=self._tally.passing,
            lost=lost,
            duplicates=self._tally.duplicates,
            out_of_order=self._tally.out_of_order,
            notices_expected=notices,
            notices_received=sum(client.notices for client in stable),
            pings=self._tally.pings,
            pongs=self._tally.pongs,
            round_trip=self._tally.round_trip,
            last_at=self._tally.last_at,
            seconds=self._tally.seconds,
            error_counts=self._tally.error_counts,
            cpu=self._cpu.report(),
        )

    def _accounts(self, finish: Finish) -> dict[str, dict[int, int]]:
        """Return the number of events sent, by channel and stream."""
        settings = self._settings
        return {
            settings.channel(channel): {stream: finish.sent[stream] for stream in settings.streams_of(channel)}
            for channel in range(settings.channels)
        }

    async def _drain(
        self, stable: list[BenchClient], has_all_events: Callable[[], bool], notices: int, idle_limit: float
    ) -> None:
        """Wait until all has arrived, or nothing has for ``idle_limit`` seconds; DRAIN_LIMIT at most."""
        end = time.monotonic() + DRAIN_LIMIT
        before, deadline = -1, 0.0
        while (now := time.monotonic()) < end:
            received = sum(client.notices for client in stable)
            if self._tally.pongs >= self._tally.pings and received >= notices and has_all_events():
                return
            if not any(client.is_open for client in self._clients.values()):
                return
            seen = self._tally.received + self._tally.passing + self._tally.pongs + received
            if seen != before:
                before, deadline = seen, now + idle_limit
            elif now >= deadline:
                return
            await asyncio.sleep(_DRAIN_STEP)

    async def _first(self, number: int) -> None:
        """Open one connection for the first time."""
        async with self._slots:
            try:
                self._clients[number] = await self._open(number)
            except SubscribeFailedError as failed:
                self._failed += 1
                self._tally.error_counts.add(failed.kind, failed.example)
            else:
                self._opened += 1

    async def _open(self, number: int) -> BenchClient:
        """Return a new connection, subscribed. Raises SubscribeFailedError."""
        settings = self._settings
        client = BenchClient(
            self._tally,
            self._endpoint,
            self._request,
            number,
            settings.channel(settings.channel_of(number)),
            passing=settings.is_passing(number),
        )
        started = time.monotonic_ns()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                host = urlsplit(self._endpoint.base_url).hostname if self._tls else None
                await asyncio.get_running_loop().create_connection(
                    lambda: client, sock=await self._socket(number), ssl=self._tls, server_hostname=host
                )
                await client.ready
        except TimeoutError:
            client.abort()
            raise SubscribeFailedError(f"not subscribed within {ANSWER_TIMEOUT:.0f} s") from None
        except OSError as error:
            raise SubscribeFailedError(
                f"connect: {error.strerror or type(error).__name__}", str(no_answer(self._endpoint.base_url, error))
            ) from None
        except BaseException:
            client.abort()
            raise
        self._subscribe.add(time.monotonic_ns() - started)
        return client

    async def _socket(self, number: int) -> socket.socket:
        """Return a connected socket; on Linux's loopback from one of many addresses."""
        endpoint = self._endpoint
        sock = socket.socket(socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.spread and sys.platform == "linux":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((f"127.0.1.{1 + number % LOOPBACK_ADDRESSES}", 0))
            await asyncio.get_running_loop().sock_connect(sock, (endpoint.address, endpoint.port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def _leave_and_return(self, client: BenchClient) -> None:
        """Leave a presence channel and come back, again and again."""
        period = self._period(MOVE_PERIOD)
        channel = self._settings.channel_of(client.number)
        await asyncio.sleep(random.uniform(0, period / 2))
        while client.is_open:
            client.unsubscribe()
            self._moves[channel] += 1
            await asyncio.sleep(period / 2)
            client.resubscribe()
            # Not cancelled half-way: the number of notices for the other members must be known.
            if not await asyncio.shield(self._has_returned(client, channel)):
                return
            await asyncio.sleep(period / 2)

    async def _has_returned(self, client: BenchClient, channel: int) -> bool:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await client.ready
        except TimeoutError:
            self._tally.error_counts.add(f"not subscribed within {ANSWER_TIMEOUT:.0f} s")
        except SubscribeFailedError as failed:
            self._tally.error_counts.add(failed.kind, failed.example)
        else:
            self._moves[channel] += 1
            return True
        return False

    async def _reconnect(self, client: BenchClient) -> None:
        """Disconnect and connect again, again and again."""
        period = self._period(MOVE_PERIOD)
        await asyncio.sleep(random.uniform(0, period))
        while client.is_open:
            client.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await client.closed
            client.abort()
            self._tally.end_subscription(client)
            del self._clients[client.number]
            try:
                async with self._slots:
                    client = self._clients[client.number] = await self._open(client.number)
            except SubscribeFailedError as failed:
                self._tally.error_counts.add(failed.kind, failed.example)
                return
            self._reconnected += 1
            await asyncio.sleep(period)

    async def _ping(self, client: BenchClient) -> None:
        """Send a ping every few seconds."""
        period = self._period(PING_PERIOD)
        await asyncio.sleep(random.uniform(0, period))
        while client.is_open:
            if not client.pinged_at:
                self._tally.pings += 1
                client.ping()
            await asyncio.sleep(period)

    def _period(self, usual: float) -> float:
        """Return a period so short that even a short run has one."""
        return min(usual, self._settings.duration / 2)

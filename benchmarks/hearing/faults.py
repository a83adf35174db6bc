"""Faults between an event in the server and the application's webhook endpoint."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from hearing.crowd import Crowd
from hearing.endpoint import Endpoint
from soundpost.core.webhooks import HELD
from support.harness import until
from support.operated import Operated, operated
from support.redis_process import RedisServer, running_redis

EVENTS: Final = (
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "user_online",
    "user_offline",
)
TIMEOUT: Final = 2
"""Seconds that the endpoint has to answer."""
BEYOND_LEASE: Final = 14.0
"""Seconds after which other hosts take one that says nothing for dead."""
BACK: Final = 25.0
"""Seconds after a start within which clients are sure to be waited for."""
GRACE: Final = 9.0
"""Seconds for which a member surely stays whose worker has ended."""
NOTICED: Final = 3.0
"""Seconds after which clients notice that their host says nothing."""
CONFIGURATION: Final = """\
[server]
host = "127.0.0.1"
port = {port}
shutdown_timeout = 2
drain_time = 0
workers = {workers}
state_dir = "state"

{scaling}

[[apps]]
id = "1"
key = "app-key"
secret = "app-secret"
max_presence_members = 1000

[[apps.webhooks]]
url = "{url}"
events = {events}
timeout = {timeout}
"""


class Stage:
    """Running servers, the crowd that is connected to them, and the endpoint that they tell."""

    redis: RedisServer
    crowd: Crowd

    def __init__(self, stack: ExitStack, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.hosts: list[Operated] = []
        self._stack = stack

    def add(self, workers: int = 1, scaling: str = "") -> None:
        """Start a host."""
        host = self._stack.enter_context(operated())
        host.write(
            CONFIGURATION.format(
                port=host.port,
                workers=workers,
                scaling=scaling,
                url=self.endpoint.url,
                events=str(list(EVENTS)).replace("'", '"'),
                timeout=TIMEOUT,
            )
        )
        host.start()
        self.hosts.append(host)

    def add_hosts(self, count: int) -> None:
        """Start hosts over a Redis of their own."""
        self.redis = self._stack.enter_context(running_redis())
        for _ in range(count):
            self.add(scaling=f'[scaling]\nredis = "{self.redis.url}"')
        for host in self.hosts:
            until(lambda host=host: host.status()["redis"]["hosts"] == count, "the hosts have met", 60)  # type: ignore[misc]


class Fault(NamedTuple):
    """``may_lose``: what waited in the memory of a killed process may be lost with it. ``may_miss``: nobody may
    be told of who came and went while Redis was away."""

    title: str
    build: Callable[[Stage], None]
    happen: Callable[[Stage], Awaitable[None]]
    may_lose: bool = False
    may_miss: bool = False
    patience: float = 20.0
    """Seconds in which all must have come, from the end of the fault."""
    absence: float = HELD
    """Seconds within which users come back of whom no end may be told."""


def one_process(stage: Stage) -> None:
    """Start a server of one process."""
    stage.add()


def two_workers(stage: Stage) -> None:
    """Start a server with workers."""
    stage.add(workers=2)


def three_hosts(stage: Stage) -> None:
    """Start hosts over Redis."""
    stage.add_hosts(3)


async def nothing(stage: Stage) -> None:
    """Let time pass."""
    await asyncio.sleep(4)


def endpoint_in(mode: str, seconds: float, pause: float = 0.0) -> Callable[[Stage], Awaitable[None]]:
    """Return a fault of the endpoint that lasts so many seconds."""

    async def happen(stage: Stage) -> None:
        stage.endpoint.mode, stage.endpoint.pause = mode, pause
        await asyncio.sleep(seconds)
        stage.endpoint.mode = "ok"

    return happen


def endpoint_down(seconds: float) -> Callable[[Stage], Awaitable[None]]:
    """Return a fault in which nobody listens at the endpoint for so many seconds."""

    async def happen(stage: Stage) -> None:
        await stage.endpoint.close()
        await asyncio.sleep(seconds)
        await stage.endpoint.open()

    return happen


async def restarted(stage: Stage) -> None:
    """Restart the server by a signal: one process in place, workers one after the other."""
    host = stage.hosts[0]
    words = "all workers are new" if len(await asyncio.to_thread(host.workers)) > 1 else ""
    host.signal(signal.SIGHUP)
    if words:
        await asyncio.to_thread(host.said, words)
    else:
        await asyncio.to_thread(host.process.wait_for_start)


async def stopped_and_started(stage: Stage) -> None:
    """Stop the server, and start it two seconds after its end, as a deployment does."""
    host = stage.hosts[0]
    await asyncio.to_thread(host.process.stop)
    await asyncio.sleep(2)
    await asyncio.to_thread(host.start)


async def killed(stage: Stage) -> None:
    """Kill the server, or the parent of its workers, and start it again."""
    host = stage.hosts[0]
    workers = await asyncio.to_thread(host.workers)
    host.process.popen.kill()
    await asyncio.to_thread(host.process.popen.wait)
    while any(map(_runs, workers)):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    await asyncio.to_thread(host.start)


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def worker_killed(stage: Stage) -> None:
    """Kill a worker, which the server replaces."""
    os.kill((await asyncio.to_thread(stage.hosts[0].workers))[-1], signal.SIGKILL)
    await asyncio.sleep(4)


def host_killed(number: int) -> Callable[[Stage], Awaitable[None]]:
    """Return a fault in which a host is killed, and never comes back."""

    async def happen(stage: Stage) -> None:
        host = stage.hosts[number]
        stage.crowd.ports.remove(host.port)
        host.process.popen.kill()
        await asyncio.to_thread(host.process.popen.wait)
        await asyncio.sleep(BEYOND_LEASE)

    return happen


async def host_frozen(stage: Stage) -> None:
    """Stop the first host for longer than its lease, and let it go on; its clients notice, and go to other hosts."""
    host = stage.hosts[0]
    os.kill(host.pid, signal.SIGSTOP)
    stage.crowd.ports.remove(host.port)
    await asyncio.sleep(NOTICED)
    stage.crowd.give_up(host.port)
    await asyncio.sleep(BEYOND_LEASE - NOTICED)
    os.kill(host.pid, signal.SIGCONT)
    stage.crowd.ports.append(host.port)


async def redis_killed(stage: Stage) -> None:
    """Kill Redis, which comes back empty."""
    stage.redis.stop()
    await asyncio.sleep(4)
    await asyncio.to_thread(stage.redis.start)


async def redis_frozen(stage: Stage) -> None:
    """Stop Redis; its connections stay open and say nothing."""
    stage.redis.freeze()
    await asyncio.sleep(8)
    stage.redis.thaw()


def faults(long: float) -> dict[str, Fault]:
    """Return all faults by name; ``long`` are the seconds for which the endpoint is down."""
    grace = 55.0
    return {
        "nothing": Fault("nothing", one_process, nothing),
        "endpoint-down": Fault(f"endpoint down for {long:.0f} s", one_process, endpoint_down(long), patience=80),
        "endpoint-500": Fault("endpoint answers 500 for 8 s", one_process, endpoint_in("error", 8), patience=40),
        "endpoint-hangs": Fault("endpoint hangs for 8 s", one_process, endpoint_in("hang", 8), patience=40),
        "endpoint-slow": Fault(
            "endpoint answers after 1 s, for 8 s", one_process, endpoint_in("slow", 8, 1.0), patience=40
        ),
        "endpoint-too-slow": Fault(
            "endpoint answers after the timeout, for 8 s", one_process, endpoint_in("slow", 8, 3.0), patience=40
        ),
        "restart": Fault("restart, one process", one_process, restarted, patience=grace, absence=BACK),
        "stop-start": Fault(
            "stop and start, one process", one_process, stopped_and_started, patience=grace, absence=BACK
        ),
        "killed": Fault(
            "the only process killed (SIGKILL)", one_process, killed, may_lose=True, patience=grace, absence=BACK
        ),
        "workers": Fault("nothing, two workers", two_workers, nothing),
        "restart-workers": Fault("restart, two workers", two_workers, restarted, absence=GRACE),
        "worker-killed": Fault("a worker killed", two_workers, worker_killed, may_lose=True, absence=GRACE),
        "parent-killed": Fault(
            "the parent of the workers killed", two_workers, killed, may_lose=True, patience=grace, absence=BACK
        ),
        "hosts": Fault("nothing, three hosts", three_hosts, nothing),
        "host-killed": Fault("the first host killed", three_hosts, host_killed(0), may_lose=True, patience=40),
        "last-host-killed": Fault("the last host killed", three_hosts, host_killed(-1), may_lose=True, patience=40),
        "host-frozen": Fault("a host stopped beyond its lease", three_hosts, host_frozen, may_lose=True, patience=40),
        "redis-killed": Fault(
            "Redis killed, back empty after 4 s", three_hosts, redis_killed, may_miss=True, patience=grace
        ),
        "redis-frozen": Fault("Redis stopped for 8 s", three_hosts, redis_frozen, may_miss=True, patience=40),
        "hosts-endpoint-down": Fault(
            "endpoint down for 15 s, three hosts", three_hosts, endpoint_down(15), patience=60
        ),
    }

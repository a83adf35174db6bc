"""Hosts around a Redis that send webhooks, to an endpoint that answers as a test says."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import msgspec

from conformance.backplane.cluster import Setup
from conformance.backplane.redis_cluster import Host, RedisCluster
from conformance.protocol.recorded_webhooks import wants
from conformance.protocol.stage import APP
from soundpost.backplane.redis.buckets import all_buckets, app_bucket
from soundpost.core.app_settings import AppSettings
from soundpost.server.webhooks import WebhookDispatcher
from soundpost.server.webhooks.answers import Answer
from support.redis_process import shared_redis

EVENTS: Final = ("channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event")


class Receiver:
    """The application's endpoint, for all hosts."""

    def __init__(self) -> None:
        self.status = 200
        """The answer; 0: none at all."""
        self.is_cut_off = False
        """True if the answer does not come back, although the endpoint has the events."""
        self.events: list[dict[str, Any]] = []
        """All events that were answered with 200."""
        self.statuses: dict[str, int] = {}
        """Other answers than 200, by the URL of the endpoint."""
        self.attempts = 0

    def lines(self) -> list[str]:
        """Names of the events since the last call, each once, with channel and user."""
        events, self.events = self.events, []
        once = {event["id"]: event for event in events}
        return [
            " ".join(str(event[field]) for field in ("name", "channel", "event", "user_id") if field in event)
            for event in once.values()
        ]


class Client:
    """The connections of one host to the receiver."""

    def __init__(self, receiver: Receiver, url: str) -> None:
        self._receiver = receiver
        self._url = url

    def post(self, body: bytes, headers: dict[str, str], timeout: float, then: Callable[[Answer], None]) -> None:
        self._receiver.attempts += 1
        status = self._receiver.statuses.get(self._url, self._receiver.status)
        if status == 200:
            self._receiver.events += json.loads(body)["events"]
        if status and not self._receiver.is_cut_off:
            asyncio.get_running_loop().call_soon(then, Answer(status))

    def close(self) -> None:
        pass


class Time:
    """A clock and its timers, moved on by the test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._count = count()

    def clock(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (self.now + delay, next(self._count), callback))

    def pass_seconds(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, callback = heapq.heappop(self._timers)
            callback()
        self.now = end


class Sender:
    """A host that may come to send webhooks."""

    def __init__(self, host: Host, app: AppSettings, receiver: Receiver, time: Time, leases: Time) -> None:
        self.host = host
        self.dispatcher = WebhookDispatcher(
            [app],
            open_client=lambda url: Client(receiver, url),
            call_soon=asyncio.get_running_loop().call_soon,
            call_later=time.call_later,
            clock=time.clock,
            random=lambda: 0.0,
        )
        self.webhooks = host.registry.redis_webhooks
        self.webhooks.send_by(self.dispatcher, [app])
        assert self.webhooks.owner is not None
        self.owner = self.webhooks.owner
        self.owner._clock = leases.clock

    @property
    def owns(self) -> bool:
        return self.owner.owns("1")


class Senders:
    """Hosts that send webhooks; the first one owns the logs."""

    def __init__(self, cluster: RedisCluster, app: AppSettings) -> None:
        self.cluster = cluster
        self.app = app
        self.receiver = Receiver()
        self.time = Time()
        self.leases = Time()
        """Clock by which hosts know how long their leases last."""
        self.all: list[Sender] = []

    async def add(self) -> Sender:
        host = await self.cluster.begin()
        sender = Sender(host, self.app, self.receiver, self.time, self.leases)
        self.all.append(sender)
        await host.flows()
        await self.cluster.settle()
        return sender

    def __getitem__(self, number: int) -> Sender:
        return self.all[number]

    async def told(self, seconds: float = 0) -> list[str]:
        """What the receiver was told once all is calm, and some seconds later."""
        await self.settle()
        self.time.pass_seconds(seconds)
        await self.settle()
        return self.receiver.lines()

    async def settle(self) -> None:
        for _ in range(5):
            await self.cluster.settle()
            await asyncio.sleep(0)

    async def write(self, bucket: bytes, *command: str | bytes | int) -> Any:
        return await self.all[-1].host.redis.ask(bucket, *command)

    def key(self, bucket: bytes, name: str) -> bytes:
        return self.all[-1].host.redis.tag(bucket) + b":" + name.encode()

    async def end_lease(self) -> None:
        """Let the lease of a host end that has not renewed it."""
        bucket = app_bucket("1")
        await self.write(bucket, "DEL", self.key(bucket, "hooks:lease"))

    async def next_owner(self) -> None:
        """Let the hosts that live see who owns the logs."""
        for sender in self.all:
            sender.owner.beat()
            await self.settle()

    async def lose(self, number: int) -> None:
        """Let a host die without a word, and its lease end."""
        sender = self.all.pop(number)
        sender.dispatcher.may_send = lambda app_id: False
        await self.cluster.lose(sender.host.stage)
        await self.end_lease()
        await self.next_owner()

    async def log(self) -> list[str]:
        """Names of the events that are in the logs."""
        found = []
        for bucket in all_buckets("1"):
            for _, fields in await self.write(bucket, "XRANGE", self.key(bucket, "hooks"), "-", "+"):
                found.append(fields[1].decode())
        return found


@asynccontextmanager
async def senders(number: int = 2, *events: str, port: int | None = None, **options: Any) -> AsyncIterator[Senders]:
    """Run hosts that send webhooks, around the Redis of all tests or the one at a port."""
    app = msgspec.structs.replace(APP, **{"webhooks": wants(*(events or EVENTS))} | options)
    cluster = RedisCluster(Setup([app], 0, None, None), shared_redis().port if port is None else port)
    try:
        hosts = Senders(cluster, app)
        for _ in range(number):
            await hosts.add()
        yield hosts
    finally:
        await cluster.stop()

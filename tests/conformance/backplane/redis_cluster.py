"""Nodes of several hosts around a real Redis, each behind a relay that can hold back its bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from conformance.backplane.cluster import Cluster, Setup
from conformance.protocol.stage import Stage
from soundpost.backplane import SingleNode
from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.redis.bucket_commands import Command
from soundpost.backplane.redis.buckets import CONTROL, all_buckets
from soundpost.backplane.redis.connection import Then
from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.registry import RedisRegistry
from soundpost.backplane.redis.servers import Standalone
from soundpost.backplane.redis.topic_messages import EventMessage, parse
from soundpost.server.inspection.host_inspection import HostInspection
from soundpost.server.inspection.inspector import Inspector
from support.redis_process import shared_redis
from support.redis_relay import Relay

MAX_ROUNDS = 100
"""Number of times that one message can lead to another between the nodes."""


@asynccontextmanager
async def redis_cluster(setup: Setup) -> AsyncIterator[Cluster]:
    """Run nodes around Redis."""
    cluster = RedisCluster(setup, shared_redis().port)
    try:
        for _ in range(setup.nodes):
            await cluster.add()
        yield cluster
    finally:
        await cluster.stop()


class Host:
    """One node, its relay and its connection."""

    def __init__(self, setup: Setup, relay: Relay, prefix: str) -> None:
        self.relay = relay
        self.redis = Redis(
            Standalone(Address("127.0.0.1", relay.port), Login()), prefix, command_timeout=60
        )  # a test may hold it back
        self.registry = RedisRegistry(
            setup.apps, self.redis, loop=asyncio.get_running_loop(), max_connections=setup.server_max_connections
        )
        registry = self.registry
        for timed in (registry._channels, registry._counts, registry._histories.publishing, registry._users):
            timed.turn_clock = lambda: 0.0  # a slow machine does as much in a loop turn as a fast one
        self.events = 0
        """Number of events that have come from other hosts."""
        self.messages = 0
        """Number of commands sent to Redis, and of answers and messages that came from there, pings left out."""
        self._take, self.redis.on_message = self.redis.on_message, self._count
        self._send, self.redis.send = self.redis.send, self._count_command  # type: ignore[method-assign]
        observers = [] if setup.observer is None else [setup.observer()]
        self.stage = Stage(*setup.apps, peers=SingleNode(self.registry), observers=observers)
        self.task = asyncio.ensure_future(self.redis.keep_connected())
        self.name = ""
        self.inspection = HostInspection(lambda: {self.name: self.stage.node})

    def _count(self, topic: bytes, data: bytes) -> None:
        self.messages += 1
        message = parse(data)
        self.events += isinstance(message, EventMessage) and message.origin != self.redis.origin
        self._take(topic, data)

    def _count_command(self, bucket: bytes, command: Command, then: Then) -> None:
        def answered(answer: Any) -> None:
            self.messages += 1
            then(answer)

        self.messages += 1
        self._send(bucket, command, answered)

    async def flows(self) -> None:
        """Wait until it is connected, and events flow."""
        while not self.registry.reaches_all:  # noqa: ASYNC110 - the test's own wait
            await asyncio.sleep(0.002)

    async def ping(self) -> None:
        """Wait until Redis has answered all that was asked, and what was published before has come."""
        self.registry._counts.state_now(lambda: None)
        await self.redis.ask(b"nodes", "PING")
        self.stage.turn()


class RedisCluster(Cluster):
    """Hosts with a prefix of their own on a Redis that all tests share."""

    one_order = False

    def __init__(self, setup: Setup, port: int) -> None:
        self.nodes = []
        self._setup = setup
        self._port = port
        self._prefix = os.urandom(6).hex()
        self._hosts: dict[Stage, Host] = {}
        self._held: set[Stage] = set()
        self._dead: list[bytes] = []

    async def settle(self) -> None:
        await self._remove_dead()
        for _ in range(MAX_ROUNDS):
            before = sum(host.messages for host in self._hosts.values())
            for node, host in self._hosts.items():
                node.turn()
                if node not in self._held:
                    await host.ping()
            if sum(host.messages for host in self._hosts.values()) == before:
                return
        raise AssertionError(f"the nodes have not come to rest in {MAX_ROUNDS} rounds")

    async def progress(self, choice: int) -> None:
        host = list(self._hosts.values())[choice % len(self._hosts)]
        if choice % 2:
            host.stage.turn()
        else:
            await asyncio.sleep(0)

    def hold(self, node: Stage) -> None:
        self._held.add(node)
        self._hosts[node].relay.hold()

    def release(self, node: Stage) -> None:
        self._held.discard(node)
        self._hosts[node].relay.release()

    async def lose(self, node: Stage) -> None:
        host = self._hosts.pop(node)
        self.nodes.remove(node)
        self._held.discard(node)
        self._dead.append(host.redis.node)
        await self._end(host)
        await self._remove_dead()

    async def _remove_dead(self) -> None:
        """Let the leases of dead nodes end, also those in which their commands could still arrive.

        The first host that hears of a dead node removes it, which may be another host, by a beat of its own.
        """
        alive = [host for node, host in self._hosts.items() if node not in self._held]
        while self._dead and alive:
            redis, dead = alive[0].redis, self._dead[0]
            await redis.ask(b"nodes", "ZREM", redis.tag(b"nodes") + b":nodes", dead)
            await redis.ask(b"nodes", "ZADD", redis.tag(b"nodes") + b":expired", 0, dead)
            await redis.leases.beat()
            for host in alive:
                await host.redis.ask(b"nodes", "PING")
                await asyncio.gather(*host.redis.leases._tasks)
            if await redis.ask(b"nodes", "ZSCORE", redis.tag(b"nodes") + b":expired", dead) is None:
                del self._dead[0]

    async def retire(self, node: Stage) -> None:
        host = self._hosts.pop(node)
        self.nodes.remove(node)
        host.task.cancel()
        await host.redis.stop()
        await host.relay.stop()

    async def end_graces(self) -> None:
        await self.settle()
        redis = next(host for node, host in self._hosts.items() if node not in self._held).redis
        for bucket in [bucket for app in self._setup.apps for bucket in all_buckets(app.id)]:
            for key in (redis.tag(bucket) + b":linger", redis.tag(bucket) + b":away"):
                for member in await redis.ask(bucket, "ZRANGE", key, 0, -1):
                    await redis.ask(bucket, "ZADD", key, 0, member)
                    await redis.ask(CONTROL, "ZADD", redis.tag(CONTROL) + b":lingering", 0, bucket + b" 0")
        await redis.graces.sweep()

    async def add(self) -> Stage:
        host = await self.begin()
        await host.flows()
        return host.stage

    async def begin(self) -> Host:
        """Start a host, which is not connected yet."""
        host = Host(self._setup, await Relay.start(self._port), self._prefix)
        self._hosts[host.stage] = host
        self.nodes.append(host.stage)
        host.name = f"node {len(self._hosts)}"
        host.registry.inspection.answer_by(host.name, host.inspection)
        return host

    def inspector(self, node: Stage) -> Inspector:
        host = self._hosts[node]
        return Inspector(host.name, host.inspection, host.registry.inspection, host.registry.answer)

    def occupancies(self) -> list[tuple[Occupancy, list[str], int]]:
        found = []
        for entry in [entry for host in self._hosts.values() for entry in host.registry._apps.values()]:
            members = sum(len(channel.own_members) for channel in entry.channels.values())
            found.append((entry.occupancy, list(entry.channels), members))
        return found

    def heard(self, node: Stage) -> int:
        return self._hosts[node].events

    async def pass_seconds(self) -> None:
        for host in self._hosts.values():
            host.registry.housekeep()

    async def stop(self) -> None:
        for host in self._hosts.values():
            await self._end(host)

    async def _end(self, host: Host) -> None:
        host.task.cancel()
        host.redis.drop()
        await host.relay.stop()

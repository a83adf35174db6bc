"""Kinds of faults, and the repair of each."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import redis as redis_client

from integration.test_redis_kinds import sentinel_of
from support.fleet import Fleet
from support.harness import until
from support.redis_process import RedisServer, running_redis
from support.redis_relay import BackgroundRelay, relay_in_background

OUT_OF_LEASE = 14.0
"""Seconds; a lease is 10."""


class Fault:
    """``title`` is its name in the table, ``seconds`` how long it lasts, ``hosts`` how many there are. ``redis`` is
    there after :meth:`start`."""

    redis: RedisServer

    def __init__(self, title: str, seconds: float = 0.0, hosts: int = 3) -> None:
        self.title = title
        self.seconds = seconds
        self.hosts = hosts

    def start(self, stack: ExitStack) -> list[str]:
        """Start what hosts connect to; the Redis URL of each."""
        self.redis = stack.enter_context(running_redis())
        return [self.redis.url] * self.hosts

    def begin(self, fleet: Fleet) -> None:
        """Break it. A host that is to end is taken out of the fleet, with its clients, before."""
        raise NotImplementedError

    def end(self, fleet: Fleet) -> None:
        """Mend it, or wait until it is mended."""


class RedisKilled(Fault):
    """It comes back empty."""

    def begin(self, fleet: Fleet) -> None:
        self.redis.stop()

    def end(self, fleet: Fleet) -> None:
        self.redis.start()


class RedisFrozen(Fault):
    """Its connections stay open and say nothing."""

    def begin(self, fleet: Fleet) -> None:
        self.redis.freeze()

    def end(self, fleet: Fleet) -> None:
        self.redis.thaw()


class RedisEmptied(Fault):
    """All data is gone, and all scripts."""

    def begin(self, fleet: Fleet) -> None:
        self.redis.client().flushall()
        self.redis.client().script_flush()


class ConnectionsKilled(Fault):
    """Redis closes those to all hosts."""

    def begin(self, fleet: Fleet) -> None:
        for kind in ("pubsub", "normal"):
            self.redis.client().client_kill_filter(_type=kind, skipme=True)


class Failover(Fault):
    """The master is killed; a sentinel finds that out, and promotes the replica."""

    _replica: RedisServer

    def start(self, stack: ExitStack) -> list[str]:
        super().start(stack)
        self._replica = stack.enter_context(running_redis("--replicaof", "127.0.0.1", str(self.redis.port)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(sentinel_of(self.redis, folder))
        sentinel = redis_client.Redis(port=port, decode_responses=True)
        until(lambda: _knows_a_replica(sentinel), "the sentinel knows the replica", seconds=30)
        return [f"redis-sentinel://127.0.0.1:{port}/0#main"] * self.hosts

    def begin(self, fleet: Fleet) -> None:
        self.redis.stop()

    def end(self, fleet: Fleet) -> None:
        until(lambda: self._replica.client().role()[0] == "master", "the replica is promoted", seconds=30)


def _knows_a_replica(sentinel: redis_client.Redis) -> bool:
    try:
        return len(sentinel.sentinel_slaves("main")) == 1
    except redis_client.RedisError:
        return False


class NetworkCut(Fault):
    """Nothing passes between the last host and Redis, and neither is told."""

    _relay: BackgroundRelay

    def start(self, stack: ExitStack) -> list[str]:
        urls = super().start(stack)
        self._relay = stack.enter_context(relay_in_background(self.redis.port))
        return [*urls[:-1], f"redis://127.0.0.1:{self._relay.port}/0"]

    def begin(self, fleet: Fleet) -> None:
        self._relay.hold()

    def end(self, fleet: Fleet) -> None:
        self._relay.mend()


class HostKilled(Fault):
    """The last one, while events are published on it."""

    def begin(self, fleet: Fleet) -> None:
        server = fleet.servers.pop()
        for client in fleet.clients[:]:
            if client.socket.socket.getpeername()[1] == server.port:
                fleet.leave(client)
        server.process.kill()
        server.process.wait()


class HostFrozen(Fault):
    """The last one: others take it for dead, and it knows nothing of that."""

    def begin(self, fleet: Fleet) -> None:
        os.kill(fleet.servers[-1].pid, signal.SIGSTOP)

    def end(self, fleet: Fleet) -> None:
        os.kill(fleet.servers[-1].pid, signal.SIGCONT)


def faults(longest: float) -> dict[str, Callable[[], Fault]]:
    """All that can be measured, by the names that the command line takes; ``longest``: seconds of the long outage."""
    return {
        "redis-killed-1": lambda: RedisKilled("Redis killed, back empty", 1),
        "redis-killed-10": lambda: RedisKilled("Redis killed, back empty", 10),
        "redis-killed-120": lambda: RedisKilled("Redis killed, back empty", longest),
        "redis-frozen": lambda: RedisFrozen("Redis frozen (SIGSTOP)", 8),
        "redis-emptied": lambda: RedisEmptied("Redis emptied, scripts too"),
        "connections-killed": lambda: ConnectionsKilled("all connections to Redis killed"),
        "failover": lambda: Failover("Redis killed, Sentinel promotes its replica"),
        "network-cut": lambda: NetworkCut("a host cut off from Redis beyond its lease, and mended", OUT_OF_LEASE),
        "host-killed": lambda: HostKilled("a host killed"),
        "host-frozen": lambda: HostFrozen("a host frozen beyond its lease, and resumed", OUT_OF_LEASE),
        "host-of-50-killed": lambda: HostKilled("one of 50 hosts killed", hosts=50),
    }

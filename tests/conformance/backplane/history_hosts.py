"""Hosts around a Redis whose app keeps events: what tests of histories in Redis share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from conformance.backplane.cluster import Setup
from conformance.backplane.redis_cluster import Host, RedisCluster
from conformance.protocol.stage import APP, Client, Stage
from soundpost.core.app_settings import HistorySettings
from support.redis_process import shared_redis

RULES: Final = (
    HistorySettings(channels=("news", "cache-kept"), events=1_000, rewind=10),
    HistorySettings(channels=("short",), events=5),
)


@asynccontextmanager
async def hosts(
    *rules: tuple[HistorySettings, ...], port: int | None = None
) -> AsyncIterator[tuple[RedisCluster, list[Host]]]:
    """Run a host with each set of rules, two with the usual ones if none are named."""
    cluster = RedisCluster(Setup([], 0, None, None), shared_redis().port if port is None else port)
    try:
        for each in rules or (RULES, RULES):
            cluster._setup = Setup([msgspec.structs.replace(APP, history=each)], 0, None, None)
            await cluster.add()
        yield cluster, [cluster._hosts[node] for node in cluster.nodes]
    finally:
        await cluster.stop()


async def subscribe(cluster: RedisCluster, node: Stage, channel: str, resume: str | None = "", **fields: Any) -> Client:
    """Connect and subscribe; the answers wait to be read."""
    client = await cluster.connect(node)
    more = fields if resume is None else {"resume": resume, **fields}
    client.say("pusher:subscribe", {"channel": channel, **more})
    await cluster.settle()
    return client


async def lose_redis(host: Host) -> None:
    """Cut a host's connection; it comes back by itself, and waits for no other host then."""
    host.relay.cut()
    while host.redis.up:  # noqa: ASYNC110 - the test's own wait
        await asyncio.sleep(0)
    host.redis.known = 0


async def come_back(cluster: RedisCluster, *hosts: Host) -> None:
    """Wait until hosts are connected again, and everything has come."""
    for host in hosts:
        await host.flows()
    await asyncio.sleep(0)
    await cluster.settle()


async def empty(cluster: RedisCluster, host: Host) -> None:
    """Delete all keys of a cluster, and all scripts."""
    keys = await host.redis.ask(b"nodes", "KEYS", f"{{{cluster._prefix}:*")
    await host.redis.ask(b"nodes", "DEL", *keys)
    await host.redis.ask(b"nodes", "SCRIPT", "FLUSH")

"""Nodes of several hosts act as one over Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from soundpost.backplane.redis.address import servers_of
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.registry import ClusterRegistry
from soundpost.config.settings import ScalingSettings
from soundpost.core.apps import App

__all__ = ["RedisBackplane"]


class RedisBackplane:
    """This host's place in a cluster. Made and used in a running event loop. Raises StartError for what is configured
    wrongly; a Redis that cannot be reached is waited for while this host serves alone."""

    def __init__(self, settings: ScalingSettings, apps: Iterable[App], *, max_connections: int | None = None) -> None:
        self._redis = Redis(servers_of(settings), settings.prefix)
        self.registry = ClusterRegistry(
            apps, self._redis, loop=asyncio.get_running_loop(), max_connections=max_connections
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect, and stay connected."""
        self._task = asyncio.ensure_future(self._redis.keep_connected())

    async def stop(self) -> None:
        """Leave the cluster."""
        if self._task is not None:
            self._task.cancel()
        await self._redis.stop()

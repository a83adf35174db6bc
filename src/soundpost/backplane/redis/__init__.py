"""Nodes of several hosts act as one over Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from soundpost.backplane.redis.address import servers_of
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.registry import ClusterRegistry
from soundpost.config.settings import ScalingSettings
from soundpost.core.app_settings import AppSettings

__all__ = ["RedisBackplane"]

_TIME_TO_CONNECT: Final = 2.0  # seconds that a start waits for Redis


class RedisBackplane:
    """This host's place in a cluster. Made and used in a running event loop. Raises StartError for what is configured
    wrongly; a Redis that cannot be reached is waited for while this host serves alone."""

    def __init__(
        self, settings: ScalingSettings, apps: Iterable[AppSettings], *, max_connections: int | None = None
    ) -> None:
        self._redis = Redis(servers_of(settings), settings.prefix)
        self.registry = ClusterRegistry(
            apps, self._redis, loop=asyncio.get_running_loop(), max_connections=max_connections
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and stay connected. Gives way when events flow, or Redis was found to be away: who subscribed before
        would not hear what others publish meanwhile."""
        self._task = asyncio.ensure_future(self._redis.keep_connected())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TIME_TO_CONNECT):
                await self._redis.tried.wait()

    @property
    def hosts(self) -> int:
        """How many hosts there are, this one among them; 0 while Redis is away."""
        return self._redis.known if self._redis.up else 0

    async def take_turn(self, seconds: float) -> None:
        """Wait until no other host has taken its turn within ``seconds``, and take it; without Redis at once."""
        while not await self._redis.take("restarting", seconds):  # noqa: ASYNC110 - another host has it
            await asyncio.sleep(0.5)

    async def end_turn(self) -> None:
        """Let the next host have its turn."""
        await self._redis.give_back("restarting")

    async def stop(self) -> None:
        """Leave the cluster."""
        if self._task is not None:
            self._task.cancel()
        await self._redis.stop()

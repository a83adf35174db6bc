"""The backplane over Redis: nodes of several hosts act as one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from soundpost.backplane.redis import restarts
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.registry import RedisRegistry
from soundpost.backplane.redis.stated_figures import StatedFigures
from soundpost.backplane.redis.url import servers_of
from soundpost.backplane.redis.webhook_dispatcher import Dispatcher
from soundpost.config.settings import ScalingSettings, ServerSettings
from soundpost.core.app_settings import AppSettings

__all__ = ["RedisBackplane"]

_TIME_TO_CONNECT: Final = 2.0  # seconds that a start waits for Redis


class RedisBackplane:
    """A host as a member of a cluster. Made and used in a running event loop.

    Raises StartError for wrong settings. While Redis cannot be reached, this host serves alone and connects again.
    """

    def __init__(
        self,
        settings: ScalingSettings,
        apps: Iterable[AppSettings],
        *,
        max_connections: int | None = None,
        max_history_size: int = ServerSettings().max_history_size,
    ) -> None:
        self._redis = Redis(servers_of(settings), settings.prefix)
        self.registry = RedisRegistry(
            apps,
            self._redis,
            loop=asyncio.get_running_loop(),
            max_connections=max_connections,
            max_history_size=max_history_size,
        )
        self.figures = StatedFigures(self._redis)
        """Figures of the hosts, as they state them to each other."""
        self.webhooks: Dispatcher | None = None
        """Sender of the webhooks of the apps that this host owns."""
        self._task: asyncio.Task[None] | None = None

    def send_webhooks_by(self, dispatcher: Dispatcher, apps: Iterable[AppSettings]) -> None:
        """Have a dispatcher send the webhooks of apps while this host is the one that does."""
        self.webhooks = dispatcher
        self.registry.redis_webhooks.send_by(dispatcher, apps)

    async def start(self) -> None:
        """Connect to Redis, and stay connected. Return once events flow, or Redis was found to be away.

        A client that subscribed earlier would miss events that other hosts publish meanwhile.
        """
        self._task = asyncio.ensure_future(self._redis.keep_connected())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TIME_TO_CONNECT):
                await self._redis.tried.wait()

    @property
    def hosts(self) -> int:
        """The number of hosts, this one included; 0 while Redis is away."""
        return self._redis.known if self._redis.up else 0

    @property
    def reconnects(self) -> int:
        """The number of times that this host has come back to Redis."""
        return max(0, self._redis.connects - 1)

    async def take_turn(self, seconds: float) -> None:
        """Wait until no other host has its turn, and take it for at most some seconds; without Redis at once."""
        await restarts.take_turn(self._redis, seconds)

    async def end_turn(self) -> None:
        """End this host's turn."""
        await restarts.end_turn(self._redis)

    async def stop(self) -> None:
        """Disconnect from Redis, and leave the cluster."""
        await self.registry.redis_webhooks.stop()
        if self._task is not None:
            self._task.cancel()
        await self._redis.stop()

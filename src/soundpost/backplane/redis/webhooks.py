"""Webhooks over Redis as one host takes part in them: what it adds to the logs, and the logs that it owns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from soundpost.backplane.redis.buckets import all_buckets
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.webhook_owner import WebhookOwner
from soundpost.backplane.redis.webhook_reports import WebhookReports
from soundpost.core.app_settings import AppSettings

if TYPE_CHECKING:
    from soundpost.backplane.redis.app_entry import AppEntry
    from soundpost.backplane.redis.webhook_dispatcher import Dispatcher


class Webhooks:
    """The webhooks of all apps on this host. ``clock`` and ``call_soon`` are the loop's.

    Only a host with a dispatcher can be an owner.
    """

    def __init__(
        self,
        redis: Redis,
        apps: Mapping[str, AppEntry],
        *,
        clock: Callable[[], float],
        call_soon: Callable[..., object],
    ) -> None:
        self._redis = redis
        self._call_soon = call_soon
        self.reports = WebhookReports(redis, clock)
        """Log of the events that only this host knows."""
        self.owner: WebhookOwner | None = None
        self.configure([entry.app for entry in apps.values()], apps)

    def send_by(self, dispatcher: Dispatcher, apps: Iterable[AppSettings]) -> None:
        """Let a dispatcher send the events of the apps that this host owns from now on."""
        self.owner = WebhookOwner(self._redis, dispatcher, call_soon=self._call_soon)
        self.owner.reconfigure(apps)

    def configure(self, served: Iterable[AppSettings], apps: Mapping[str, AppEntry]) -> None:
        """Take the apps that are served from now on; ``apps`` are all that this host has something of."""
        self._redis.logged = {
            bucket: entry.logged for app_id, entry in apps.items() if entry.logged for bucket in all_buckets(app_id)
        }
        if self.owner is not None:
            self.owner.reconfigure(served)

    def on_up(self) -> None:
        """Look for leases: Redis is up."""
        if self.owner is not None:
            self.owner.on_up()

    def on_down(self) -> None:
        """Send no ends: Redis is away."""
        if self.owner is not None:
            self.owner.on_down()

    def beat(self) -> None:
        """Renew leases."""
        self.reports.beat()
        if self.owner is not None:
            self.owner.beat()

    def read(self, topic: bytes) -> None:
        """Read a log, as its topic says that something was added."""
        if self.owner is not None:
            self.owner.read(topic)

    async def stop(self) -> None:
        """Leave the logs to other hosts: this one is about to end."""
        if self.owner is not None:
            await self.owner.stop()

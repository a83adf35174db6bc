"""The owner of an app's webhooks: the one host that sends them, by a lease in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from soundpost.backplane.redis.bucket_commands import ignore_answer
from soundpost.backplane.redis.buckets import app_bucket
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.webhook_dispatcher import Dispatcher
from soundpost.backplane.redis.webhook_logs import AppLogs
from soundpost.backplane.redis.webhook_scripts import LEASE, RELEASE
from soundpost.core.app_settings import AppSettings
from soundpost.core.webhooks import WebhookEvent

LEASE_TIME: Final = 10.0
"""Seconds after its last renewal that a lease ends, and another host may send."""
_LAST_ANSWERS: Final = 1.0  # seconds; the next owner sends again what has no answer by then
_TIME_FOR_OWNERS: Final = 5.0
"""Seconds after an outage that a host leaves to the owner of before, who knows what was told."""
_TIME_TO_READ: Final = 3.0
"""Seconds after an outage in which an owner reads from the logs which users have come back."""


class _Term:
    """The time in which this host owns the logs of an app."""

    def __init__(self, logs: AppLogs) -> None:
        self.logs = logs
        self.until = 0.0
        self.has_begun = False
        """True once the logs are taken over the connection of now."""


class WebhookOwner:
    """Takes and renews the leases of all apps with webhooks on one host.

    ``clock`` is in seconds, and goes on while the process stands still.
    """

    def __init__(
        self,
        redis: Redis,
        dispatcher: Dispatcher,
        *,
        call_soon: Callable[..., object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._dispatcher = dispatcher
        self._call_soon = call_soon
        self._clock = clock
        self._apps: dict[str, None] = {}
        self._terms: dict[str, _Term] = {}
        self._asked: set[str] = set()
        self._knows_owner: set[str] = set()
        """Apps whose lease another host has had."""
        self._up_since: float | None = None
        self._holds_ends = False
        dispatcher.on_done = self._done
        dispatcher.on_notified = self._on_notified
        dispatcher.on_idle = self._idle
        dispatcher.may_send = self.owns

    def reconfigure(self, apps: Iterable[AppSettings]) -> None:
        """Take the apps that are served from now on."""
        apps = tuple(apps)
        self._dispatcher.configure(apps)
        self._apps = {app.id: None for app in apps if app.webhooks}
        for app_id in [app_id for app_id in self._terms if app_id not in self._apps]:
            self._release(app_id)
            self._lose(app_id)

    def owns(self, app_id: str) -> bool:
        """Return whether this host sends the webhooks of an app."""
        term = self._terms.get(app_id)
        return term is not None and self._clock() < term.until

    # The lease

    def beat(self) -> None:
        """Renew all leases, take leases without an owner, and look for events that no endpoint was told of.

        All hosts have stated who is there when the first beat comes after an outage.
        """
        self._ask_all()
        if self._holds_ends:
            self._holds_ends = False
            self._dispatcher.release_ends(_TIME_TO_READ)

    def _ask_all(self) -> None:
        for app_id in self._apps:
            self._ask(app_id)

    def _ask(self, app_id: str) -> None:
        if app_id in self._asked or not self._redis.up:
            return
        self._asked.add(app_id)
        now = self._clock()
        if self._up_since is None:
            self._up_since = now
        # Who knows what was told comes first after Redis was emptied.
        may_be_first = (
            app_id in self._terms or app_id not in self._knows_owner or now - self._up_since > _TIME_FOR_OWNERS
        )
        bucket = app_bucket(app_id)
        command = self._redis.script(LEASE, bucket, self._redis.origin, int(LEASE_TIME * 1000), int(may_be_first))
        self._redis.send(bucket, command, partial(self._answered, app_id, now))

    def _answered(self, app_id: str, asked_at: float, answer: Any) -> None:
        self._asked.discard(app_id)
        if not isinstance(answer, list) or app_id not in self._apps:
            return
        result, former = answer
        if former not in (b"", self._redis.origin):
            self._knows_owner.add(app_id)
            self._lose(app_id)  # what this host knew of an earlier term is out of date
        if result in (b"taken", b"free"):
            if result == b"taken":
                self._lose(app_id)
            return
        term = self._terms.get(app_id)
        if term is None:
            term = self._terms[app_id] = _Term(self._new_logs(app_id))
        could_send = self._clock() < term.until
        term.until = asked_at + LEASE_TIME
        if result == b"begun" or not term.has_begun:
            term.has_begun = True
            term.logs.begin()
        else:
            term.logs.poll()
        if not could_send:
            self._dispatcher.wake(app_id)

    def _new_logs(self, app_id: str) -> AppLogs:
        on_lost = partial(self._lose, app_id)
        return AppLogs(app_id, self._redis.origin, self._redis, self._dispatcher, on_lost, self._call_soon)

    def _lose(self, app_id: str) -> None:
        term = self._terms.pop(app_id, None)
        if term is not None:
            term.logs.end()

    def _release(self, app_id: str) -> None:
        if not self._redis.up:
            return  # the lease ends by itself
        bucket = app_bucket(app_id)
        self._redis.send(bucket, self._redis.script(RELEASE, bucket, self._redis.origin), ignore_answer)

    def on_up(self) -> None:
        """Look for leases at once: Redis is up."""
        self._up_since = self._clock()
        self._asked.clear()
        for term in self._terms.values():
            term.has_begun = False
        self._ask_all()

    def on_down(self) -> None:
        """Hold ends back: without Redis no host knows which users have come back."""
        self._holds_ends = True
        self._dispatcher.hold_ends()

    async def stop(self) -> None:
        """Give all leases back, once the requests under way are answered: this host is about to end."""
        self._apps = {}
        await self._dispatcher.pause(_LAST_ANSWERS)
        await asyncio.sleep(0)  # settled events are reported to Redis first
        for app_id in list(self._terms):
            self._release(app_id)
            self._lose(app_id)
        self._dispatcher.close()

    # From Redis, and from the dispatcher

    def read(self, topic: bytes) -> None:
        """Read the log to which something was added, as a message on a bucket's topic says."""
        for term in self._terms.values():
            if topic in term.logs.by_topic:
                term.logs.read(term.logs.by_topic[topic])

    def _on_notified(self, app_id: str, event: WebhookEvent) -> None:
        term = self._terms.get(app_id)
        if term is not None:
            term.logs.note_notified(event)

    def _done(self, app_id: str, tokens: Sequence[Any]) -> None:
        term = self._terms.get(app_id)
        if term is not None:
            term.logs.done(tokens)

    def _idle(self, app_id: str) -> None:
        term = self._terms.get(app_id)
        if term is not None:
            term.logs.read_on()

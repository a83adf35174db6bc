"""The registry of a host in a cluster: this host's connections and channels, and the other hosts' by way of Redis.

This host's clients come first: events reach them at once, and while Redis is away everything goes on with the clients
of this host. Everything else is a statement to Redis of what this host has, which may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.redis import topic_messages
from soundpost.backplane.redis.admissions import Admissions
from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import CONTROL, app_of, bucket_of
from soundpost.backplane.redis.channels import Channels
from soundpost.backplane.redis.counts import Counts
from soundpost.backplane.redis.history import Histories
from soundpost.backplane.redis.history_answers import HistoryAnswers
from soundpost.backplane.redis.history_channels import channels_with_history
from soundpost.backplane.redis.history_checks import HistoryChecks
from soundpost.backplane.redis.incoming import Incoming
from soundpost.backplane.redis.inspection import RedisInspection
from soundpost.backplane.redis.last_event_scripts import KEEP
from soundpost.backplane.redis.message_fields import excluded
from soundpost.backplane.redis.observer_events import Change, parse_change
from soundpost.backplane.redis.publish_queue import Publication
from soundpost.backplane.redis.queries import Queries
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.restarts import restart_order
from soundpost.backplane.redis.signed_in_users import SharedUsers
from soundpost.backplane.redis.subscriptions import Subscriptions
from soundpost.backplane.redis.webhooks import Webhooks
from soundpost.backplane.registry import Load
from soundpost.config.settings import ServerSettings
from soundpost.core.app_settings import AppSettings
from soundpost.core.peers import (
    ChannelEvents,
    HistoryChannelsQuery,
    HistoryDeletion,
    HistoryQuery,
    OutgoingEvent,
    PeersHandler,
    Query,
)
from soundpost.core.webhooks import WebhookEvent, WebhookLog

_KEEP: Final = KEEP.digest.encode()
_MANY_UNANSWERED: Final = 2_000
"""Number of commands that Redis takes some 20 ms for."""


class RedisRegistry:
    """The state that the nodes of all hosts share over Redis; see :class:`soundpost.backplane.registry.Registry`."""

    def __init__(
        self,
        apps: Iterable[AppSettings],
        redis: Redis,
        *,
        loop: asyncio.AbstractEventLoop,
        max_connections: int | None = None,
        max_history_size: int = ServerSettings().max_history_size,
    ) -> None:
        self._apps = {app.id: AppEntry(app) for app in apps}
        self._redis = redis
        self.call_soon = loop.call_soon
        self._clock = loop.time
        self._nodes: dict[PeersHandler, None] = {}
        self._counts = Counts(self._apps, redis, self._report_changes, loop.call_later)
        self._histories = Histories(
            self._apps, redis, max_size=max_history_size, clock=loop.time, call_later=loop.call_later
        )
        self._history_answers = HistoryAnswers(redis, self._histories)
        self._channels = Channels(
            self._apps, redis, self._histories, self._counts, self._report_changes, loop.time, loop.call_soon
        )
        self._incoming = Incoming(self._apps, redis, self._histories, self._channels, self._counts, loop.time)
        self._queue = self._histories.publishing.queue
        checks = HistoryChecks(
            redis,
            self._histories.generations,
            self._histories.followed,
            self._channels.opened,
            self._channels.sync,
            loop.call_soon,
        )
        self._queue.on_flow = lambda: self.on_reachability()
        self._queries = Queries(redis, loop.time, loop.call_soon, self._histories.generations.head)
        self._number = 0  # number of this process' last message
        self.on_reachability: Callable[[], None] = lambda: None
        self._incoming.on_restart = lambda: self.on_restart()
        self.on_restart: Callable[[], None] = lambda: None
        """Called when all hosts are to restart."""
        self.redis_webhooks = Webhooks(redis, self._apps, clock=loop.time, call_soon=loop.call_soon)
        self.webhooks: WebhookLog | None = self.redis_webhooks.reports
        self._incoming.on_logged = self.redis_webhooks.read
        self._reports = self.redis_webhooks.reports
        redis.prepare, redis.on_beat = self._histories.prepare, partial(self._on_beat, checks)
        redis.on_up, redis.on_flow, redis.on_down = self._on_up, self._on_flow, self._on_down
        redis.leases.on_changes = redis.graces.on_changes = self._report_removal
        self._admissions = Admissions(self._apps, self._nodes, redis, self._counts, max_connections)
        self.admit, self.release = self._admissions.admit, self._admissions.release
        self.connections_of = self._admissions.connections_of
        self._subscriptions = Subscriptions(
            self._apps,
            self._nodes,
            redis,
            self._channels,
            self._counts,
            self._history_answers,
            self._reports,
            self._report_changes,
            loop,
        )
        self.join, self.leave = self._subscriptions.join, self._subscriptions.leave
        self.snapshot = self._subscriptions.snapshot
        self.inspection = RedisInspection(redis, loop)
        self._incoming.on_inspection = self.inspection.receive
        self._incoming.on_terminate = self._subscriptions.lingering.end_of_user
        self._users = SharedUsers(redis, loop.call_later, self._report_user)
        self._incoming.on_user_status = self._users.receive
        self.sign_in, self.sign_out = self._users.sign_in, self._users.sign_out
        self.watch, self.unwatch = self._users.watch, self._users.unwatch

    @property
    def reaches_all(self) -> bool:
        """True if events go to other hosts at once, and do not wait."""
        return self._queue.flows

    @property
    def is_behind(self) -> bool:
        """True if Redis has very many commands of this host to answer."""
        return self._redis.unanswered > _MANY_UNANSWERED

    @property
    def is_alone(self) -> bool:
        """Return False: other hosts may come at any time."""
        return False

    def reconfigure(self, apps: Iterable[AppSettings]) -> None:
        """Take other apps, or other settings. An app that is gone is kept until its connections have left."""
        apps = tuple(apps)
        for app in apps:
            entry = self._apps.get(app.id)
            before = () if entry is None else entry.app.history
            if entry is None:
                entry = self._apps[app.id] = AppEntry(app)
            else:
                entry.configure(app)
            if app.history != before:
                self._histories.reconfigure(entry)
        self.redis_webhooks.configure(apps, self._apps)

    def load(self) -> dict[str, Load]:
        """Return the load of each app on this host, by app id."""
        return {
            app_id: Load(sum(entry.connections.values()), len(entry.channels)) for app_id, entry in self._apps.items()
        }

    def occupancy(self) -> dict[str, Occupancy]:
        """Return the numbers of channels and members of each app on this host, by app id."""
        return {app_id: entry.occupancy for app_id, entry in self._apps.items()}

    def kept(self) -> tuple[int, int]:
        """Return twice 0: Redis keeps the events of histories."""
        return 0, 0

    @property
    def waiting(self) -> tuple[int, int]:
        """The number of events that wait for Redis, and their bytes."""
        return len(self._queue), self._queue.size

    # Nodes of this host

    def add_node(self, node: PeersHandler) -> None:
        """Take a new node of this host."""
        self._nodes[node] = None

    def remove_node(self, node: PeersHandler) -> None:
        """Remove a node of this host that is gone, and all it had."""
        self._nodes.pop(node, None)
        self._admissions.remove_node(node)
        self._subscriptions.remove_node(node, then=partial(self._users.remove_node, node))

    def _report_changes(self, app_id: str, changes: list[Change]) -> None:
        """Report changes to the observers of one node; a script returns each change to one host only."""
        node = next((each for each in self._nodes if each.has_observers), None)
        if node is None:
            return
        for change in changes:
            node.observe(parse_change(app_id, change))

    def _report_user(self, app_id: str, user_id: str, info_json: bytes) -> None:
        self._reports.signed_in(self._apps[app_id], user_id, info_json)

    def _report_removal(self, bucket: bytes, changes: list[Change]) -> None:
        self._report_changes(app_of(bucket), changes)

    # Events

    def publish(self, node: PeersHandler, app_id: str, event: OutgoingEvent, then: Callable[[bool], None]) -> None:
        """Deliver an event to all nodes except its own. ``then`` gets True once Redis has it, False if it waits."""
        entry = self._apps[app_id]
        name, frame, except_socket_id, keep = event.channel, event.frame, event.except_socket_id, event.keep
        rule = None if event.id is None else entry.history_rules.of(name)
        if rule is not None:
            self._histories.publishing.publish(entry, rule, event, then)
            return
        if event.id is None and not event.ephemeral and entry.history_rules.of(name) is not None:
            self._history_answers.note_unkept(app_id, name)
        channel = entry.channels.of(name)
        if channel is not None:
            self._histories.publishing.release(channel)
            channel.deliver(frame, except_socket_id, node if event.id is None else None)
            if keep:
                channel.keep(frame, self._clock() + entry.app.cache_ttl)
        self._send_unkept(entry, name, frame, except_socket_id, keep, then)

    def _send_unkept(
        self,
        entry: AppEntry,
        name: str,
        frame: bytes,
        except_socket_id: str | None,
        keep: bool,
        then: Callable[[bool], None],
    ) -> None:
        """Send the other hosts an event that no history keeps."""
        bucket = bucket_of(entry.app.id, name)
        self._number += 1
        origin, number = self._redis.origin, self._number
        if keep:
            limits = (b"%d" % (entry.app.cache_ttl * 1000), b"%d" % entry.max_cached_per_bucket)
            header = (origin, b"%d" % number, excluded(except_socket_id))
            publication = Publication(bucket, _KEEP, (name.encode(), frame, *limits, *header))
        else:
            data = topic_messages.event(origin, number, except_socket_id, frame)
            publication = Publication(bucket, b"", (name.encode(), data))
        self._queue.send(publication, then)

    def publish_all(self, node: PeersHandler, app_id: str, events: ChannelEvents, then: Callable[[bool], None]) -> None:
        """Deliver several events of a channel, as :meth:`publish` does each; ``then`` is called once for all."""
        entry = self._apps[app_id]
        name, frames, except_socket_id, keep = events.channel, events.frames, events.except_socket_id, events.keep
        if not events.ephemeral and entry.history_rules.of(name) is not None:
            self._history_answers.note_unkept(app_id, name)
        channel = entry.channels.of(name)
        if channel is not None:
            self._histories.publishing.release(channel)
            channel.deliver_all(frames, except_socket_id, node)
            if keep:
                channel.keep(frames[-1], self._clock() + entry.app.cache_ttl)
        answers: list[bool] = []

        def answered(taken: bool) -> None:
            answers.append(taken)
            if len(answers) == len(frames):
                then(all(answers))

        for frame in frames:
            self._send_unkept(entry, name, frame, except_socket_id, keep, answered)

    def restart_all(self) -> None:
        """Order every host to restart, this one too, one after the other."""
        self._number += 1
        order = b"%b %d" % (self._redis.origin, self._number)
        self._queue.send(restart_order(order), lambda sent: None)

    def terminate(self, node: PeersHandler, app_id: str, user_id: str) -> None:
        """Close all connections of a user on all other nodes, of this and other hosts."""
        self._apps[app_id].terminate(user_id, node)
        self._subscriptions.lingering.end_of_user(self._apps[app_id], user_id)
        self._users.end_of_user(app_id, user_id)
        self._number += 1
        data = topic_messages.terminate(self._redis.origin, self._number, app_id, user_id)
        self._queue.send(Publication(CONTROL, b"", (b"", data)), lambda sent: None)

    def report(self, app_id: str, event: WebhookEvent) -> None:
        """Hand an event that only a node knows on to the app's webhooks."""
        if self.webhooks is not None:
            self.webhooks.add(app_id, event)

    # Queries

    def answer(self, query: Query, then: Callable[[Any], None]) -> None:
        """Answer a query about all hosts; the query's class says what the answer is."""
        entry = self._apps[query.app_id]
        if isinstance(query, HistoryQuery):
            channel = entry.channels.of(query.channel)
            if channel is not None:
                self._channels.ensure_stated(channel)
            self._history_answers.page(entry, query, then)
        elif isinstance(query, HistoryDeletion):
            self._history_answers.delete(entry, query, then)
        elif isinstance(query, HistoryChannelsQuery):
            channels_with_history(self._redis, query.app_id, then)
        else:
            self._counts.state_now(partial(self._queries.answer, entry, query, then))

    # Redis comes and goes

    async def _on_up(self) -> None:
        """State everything: this host is connected, as a new node."""
        for entry in self._apps.values():
            if entry.connections:
                self._counts.state_connections(entry)
        await self._users.on_up()
        await asyncio.sleep(0)  # what follows begins in a loop turn of its own
        self.inspection.on_up()
        await self._channels.sync_all()
        self.redis_webhooks.on_up()

    def _on_beat(self, checks: HistoryChecks) -> None:
        checks.check()
        self.redis_webhooks.beat()

    def _on_flow(self) -> None:
        """Send what waits: the other hosts are back on their topics."""
        self._queue.open()
        self._reports.open()
        self._users.on_flow()

    def _on_down(self) -> None:
        """Keep events, and answer the joins that wait for Redis."""
        if self._queue.flows:  # else Redis has been away since, although it takes connections
            self._histories.publishing.begin_wait()
        self._queue.shut()
        self._reports.shut()
        self.redis_webhooks.on_down()
        self.on_reachability()
        self._channels.resume_all()
        self._users.on_down()

    def housekeep(self) -> None:
        """Announce counts of large channels and drop expired entries."""
        self._counts.housekeep()
        self._histories.housekeep(self._channels.opened)
        self._incoming.housekeep()

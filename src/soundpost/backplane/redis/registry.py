"""The registry of a host in a cluster: this host's connections and channels, and the other hosts' by way of Redis.

This host's clients come first: events reach them at once, and while Redis is away everything goes on with the clients
of this host. Everything else is a statement to Redis of what this host has, which may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat
from typing import Any, Final

from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.redis import topic_messages
from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import CONTROL, app_bucket, app_of, bucket_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.channels import Channels
from soundpost.backplane.redis.counts import Counts
from soundpost.backplane.redis.history import Histories
from soundpost.backplane.redis.history_answers import HistoryAnswers, begin_after
from soundpost.backplane.redis.history_channels import channels_with_history
from soundpost.backplane.redis.history_checks import HistoryChecks
from soundpost.backplane.redis.incoming import Incoming
from soundpost.backplane.redis.inspection import RedisInspection
from soundpost.backplane.redis.lingering import Lingering
from soundpost.backplane.redis.observer_events import Change, parse_change
from soundpost.backplane.redis.publish_queue import Publication
from soundpost.backplane.redis.queries import Queries
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.scripts import ADMIT, ENTER, KEEP, LEAVE
from soundpost.backplane.redis.signed_in_users import SharedUsers
from soundpost.backplane.redis.webhooks import Webhooks
from soundpost.backplane.registry import Load
from soundpost.config.settings import ServerSettings
from soundpost.core.app_settings import AppSettings
from soundpost.core.history import HistoryRequest
from soundpost.core.member import Member
from soundpost.core.peers import (
    Admission,
    ChannelSnapshot,
    HistoryChannelsQuery,
    HistoryDeletion,
    HistoryQuery,
    OutgoingEvent,
    PeersHandler,
    Query,
)
from soundpost.core.presence_grace import SENT_AWAY
from soundpost.core.slices import in_slices
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
        self._call_soon = loop.call_soon
        self._clock = loop.time
        self._max_connections = max_connections
        self._connections = 0
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
        checks = HistoryChecks(self._apps, redis, self._histories.generations, self._channels.sync, loop.call_soon)
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
        redis.burials.on_changes = redis.graces.on_changes = self._report_burial
        self._lingering = Lingering(
            redis, self._uncount_held, self._channels.ensure_stated, self._report_changes, loop.call_later
        )
        self.inspection = RedisInspection(redis, loop)
        self._incoming.on_inspection = self.inspection.receive
        self._incoming.on_terminate = self._lingering.end_of_user
        self._users = SharedUsers(redis, loop.call_later, self._report_user)
        self._incoming.on_user_status = self._users.receive
        self.sign_in, self.sign_out = self._users.sign_in, self._users.sign_out
        self.watch, self.unwatch = self._users.watch, self._users.unwatch

    @property
    def reaches_all(self) -> bool:
        """Tell whether events go to other hosts at once, and do not wait."""
        return self._queue.flows

    @property
    def is_behind(self) -> bool:
        """Tell whether Redis has very many commands of this host to answer."""
        return self._redis.unanswered > _MANY_UNANSWERED

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
        """Return the number of events that wait for Redis, and their bytes."""
        return len(self._queue), self._queue.size

    def connections_of(self, node: PeersHandler) -> int:
        """Return the number of a node's connections, of all apps."""
        return sum(entry.connections.get(node, 0) for entry in self._apps.values())

    # Nodes of this host

    def add_node(self, node: PeersHandler) -> None:
        """Take a new node of this host."""
        self._nodes[node] = None

    def _report_changes(self, app_id: str, changes: list[Change]) -> None:
        """Report changes to the observers of one node; a script returns each change to one host only."""
        node = next((each for each in self._nodes if each.has_observers), None)
        if node is None:
            return
        for change in changes:
            node.observe(parse_change(app_id, change))

    def _report_user(self, app_id: str, user_id: str, info_json: bytes) -> None:
        self._reports.signed_in(self._apps[app_id], user_id, info_json)

    def _report_burial(self, bucket: bytes, changes: list[Change]) -> None:
        self._report_changes(app_of(bucket), changes)

    # Connections

    def admit(
        self, node: PeersHandler, app_id: str, then: Callable[[Admission], None], address: str | None = None
    ) -> None:
        """Count a connection, unless a limit is reached; an app's limit is that of all hosts together."""
        entry = self._apps[app_id]
        if self._max_connections is not None and self._connections >= self._max_connections:
            then("server_full")
            return
        if entry.addresses.are_full(address, entry.app.max_connections_per_ip):
            then("address_full")
            return
        self._count_connection(node, entry, 1, address)
        limit = entry.app.max_connections
        if limit is None:
            then("admitted")
        elif self._redis.up:
            answered = partial(self._admitted, node, entry, address, then)
            here = sum(entry.connections.values())
            self._redis.run(ADMIT, app_bucket(app_id), limit, here, then=answered)
        else:
            self._admitted(node, entry, address, then, None)

    def _admitted(
        self, node: PeersHandler, entry: AppEntry, address: str | None, then: Callable[[Admission], None], answer: Any
    ) -> None:
        limit, here = entry.app.max_connections, sum(entry.connections.values())
        if answer == 1 or (not isinstance(answer, int) and (limit is None or here <= limit)):
            then("admitted")
            return
        self._count_connection(node, entry, -1, address)
        then("app_full")

    def release(self, node: PeersHandler, app_id: str, address: str | None = None) -> None:
        """Stop counting a connection that was admitted with this address."""
        entry = self._apps[app_id]
        if entry.connections.get(node, 0) > 0:
            self._count_connection(node, entry, -1, address)

    def _count_connection(self, node: PeersHandler, entry: AppEntry, step: int, address: str | None) -> None:
        if node in self._nodes:
            entry.connections[node] = entry.connections.get(node, 0) + step
            self._connections += step
            count_address = entry.addresses.add if step > 0 else entry.addresses.remove
            count_address(node, address)
        self._counts.connections_changed(entry)

    # Subscriptions

    def join(
        self,
        node: PeersHandler,
        app_id: str,
        name: str,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None = None,
        socket_id: str | None = None,
    ) -> None:
        """Count a subscription, once other hosts' events for the channel come here. Answer None: channel full."""
        entry = self._apps[app_id]
        known = entry.channels.get(name)
        if known is not None:
            self._channels.ensure_stated(known)  # without the newcomer, for whom there may be no room
        channel = known or self._channels.open(entry, name)
        if newcomer is not None:
            channel.count_member(newcomer)
        if channel.waiting is None:
            self._join(node, entry, channel, newcomer, then, history, socket_id)
            return
        channel.waiting.append(partial(self._join, node, entry, channel, newcomer, then, history, socket_id))
        if not self._redis.up:
            self._channels.resume(channel)
        elif known is None and not self._redis.is_connecting:  # else it is asked for when all channels are
            self._channels.sync(channel, begin_after(history))

    def _join(
        self,
        node: PeersHandler,
        entry: AppEntry,
        channel: SharedChannel,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None,
        socket_id: str | None,
    ) -> None:
        if newcomer is None or (
            channel.own_members[newcomer.id][1] > 1 and channel.members is not None and newcomer.id in channel.members
        ):
            self._joined(node, channel, newcomer, then, history)
            return
        report = None if self._redis.up else partial(self._reports.added, entry, channel.name, newcomer, socket_id)
        entered = partial(self._entered, node, entry, channel, newcomer, then, history, report)
        if self._channels.ensure_stated(channel):
            limit = entry.app.max_presence_members
            blob = topic_messages.member_blob(newcomer)
            arguments = (channel.name, newcomer.id, blob, limit, socket_id or "")
            self._redis.run(ENTER, channel.bucket, *arguments, then=entered)
        else:
            entered(None)

    def _entered(
        self,
        node: PeersHandler,
        entry: AppEntry,
        channel: SharedChannel,
        newcomer: Member,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None,
        report: Callable[[], None] | None,
        answer: Any,
    ) -> None:
        if isinstance(answer, list):
            is_full = answer[0] is None
            self._report_changes(entry.app.id, answer[2])
            if not is_full:
                apply = channel.renew if answer[3] else channel.enter
                self._channels.apply_change(channel, int(answer[1]), partial(apply, newcomer))
        else:  # without Redis there is only this host's list
            is_full = channel.is_full_for(newcomer.id, entry.app.max_presence_members)
        if is_full:
            channel.uncount_member(newcomer.id)
            then(None)
            self._channels.close_if_empty(entry, channel)
            return
        channel.enter(newcomer)
        self._joined(node, channel, newcomer, then, history)
        if report is not None:
            report()

    def _joined(
        self,
        node: PeersHandler,
        channel: SharedChannel,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None,
    ) -> None:
        user_id = None if newcomer is None else newcomer.id
        channel.add(node, user_id)
        self._counts.subscriptions_changed(channel)
        if channel.count == 1 and not channel.is_stated:
            self._reports.occupied(self._apps[channel.app_id], channel.name)
        if node in self._nodes:
            self._history_answers.snapshot(self._apps[channel.app_id], channel, history, self._clock, then)
        else:  # the node died meanwhile
            channel.remove(node, user_id)
            self._uncount(self._apps[channel.app_id], channel, user_id, SENT_AWAY)

    def snapshot(
        self, app_id: str, name: str, then: Callable[[ChannelSnapshot], None], history: HistoryRequest | None = None
    ) -> None:
        """Read the state that a subscriber of the channel is sent."""
        entry = self._apps[app_id]
        channel = entry.channels.get(name)
        if channel is None:
            then(ChannelSnapshot(None, None))
        else:
            self._channels.ensure_stated(channel)
            self._history_answers.snapshot(entry, channel, history, self._clock, then)

    def leave(
        self,
        node: PeersHandler,
        app_id: str,
        name: str,
        user_id: str | None,
        linger: float = 0,
        socket_id: str | None = None,
    ) -> None:
        """Stop counting a subscription; Redis tells the other subscribers of a member who left."""
        entry = self._apps[app_id]
        channel = entry.channels.get(name)
        if channel is not None and channel.remove(node, user_id):
            self._uncount(entry, channel, user_id, linger, socket_id)

    def remove_node(self, node: PeersHandler) -> None:
        """Remove a node of this host that is gone, and all it had."""
        self._nodes.pop(node, None)
        for entry in self._apps.values():
            self._connections -= entry.connections.pop(node, 0)
            entry.addresses.forget(node)
            self._counts.connections_changed(entry)

        def subscriptions() -> Iterator[tuple[AppEntry, SharedChannel, str | None]]:
            for entry in list(self._apps.values()):
                for channel in list(entry.channels.values()):
                    share = channel.shares.get(node)
                    if share is not None:
                        users = [user_id for user_id, times in share.users.items() for _ in range(times)]
                        for user_id in users or repeat(None, share.count):
                            yield entry, channel, user_id

        def leave(found: tuple[AppEntry, SharedChannel, str | None]) -> None:
            entry, channel, user_id = found
            if channel.remove(node, user_id):
                self._uncount(entry, channel, user_id, SENT_AWAY)

        in_slices(subscriptions(), leave, self._call_soon, then=partial(self._users.remove_node, node))

    def _uncount_held(self, channel: SharedChannel, user_id: str) -> None:
        self._uncount(self._apps[channel.app_id], channel, user_id)

    def _uncount(
        self,
        entry: AppEntry,
        channel: SharedChannel,
        user_id: str | None,
        linger: float = 0,
        socket_id: str | None = None,
    ) -> None:
        self._counts.subscriptions_changed(channel)
        self._channels.ensure_stated(channel)
        if user_id is not None and linger:
            self._lingering.begin(channel, user_id, linger)
        elif user_id is not None and channel.uncount_member(user_id):
            gone = partial(self._member_left, entry, channel, user_id)
            self._redis.run(LEAVE, channel.bucket, channel.name, user_id, socket_id or "", then=gone)
        self._channels.close_if_empty(entry, channel)

    def _member_left(self, entry: AppEntry, channel: SharedChannel, user_id: str, answer: Any) -> None:
        if not isinstance(answer, list):
            channel.leave(user_id)  # Redis will tell later if the user is on another host
            return
        if answer[2]:
            self._report_changes(entry.app.id, answer[2])
            self._channels.apply_change(channel, int(answer[1]), partial(channel.leave, user_id))

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
        channel = entry.channels.get(name)
        if channel is not None:
            self._histories.publishing.release(channel)
            channel.deliver(frame, except_socket_id, node if event.id is None else None)
            if keep:
                channel.keep(frame, self._clock() + entry.app.cache_ttl)
        bucket = bucket_of(app_id, name)
        self._number += 1
        origin, number = self._redis.origin, self._number
        if keep:
            limits = (b"%d" % (entry.app.cache_ttl * 1000), b"%d" % entry.max_cached_per_bucket)
            header = (origin, b"%d" % number, topic_messages.excluded(except_socket_id))
            publication = Publication(bucket, _KEEP, (name.encode(), frame, *limits, *header))
        else:
            data = topic_messages.event(origin, number, except_socket_id, frame)
            publication = Publication(bucket, b"", (name.encode(), data))
        self._queue.send(publication, then)

    def restart_all(self) -> None:
        """Order every host to restart, this one too, one after the other."""
        self._number += 1
        order = b"%b %d" % (self._redis.origin, self._number)
        self._queue.send(self._redis.restart_order(order), lambda sent: None)

    def terminate(self, node: PeersHandler, app_id: str, user_id: str) -> None:
        """Close all connections of a user on all other nodes, of this and other hosts."""
        self._apps[app_id].terminate(user_id, node)
        self._lingering.end_of_user(self._apps[app_id], user_id)
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
            channel = entry.channels.get(query.channel)
            if channel is not None:
                self._channels.ensure_stated(channel)
            self._history_answers.page(entry, query, then)
        elif isinstance(query, HistoryDeletion):
            self._history_answers.delete(entry, query, then)
        elif isinstance(query, HistoryChannelsQuery):
            channels_with_history(self._redis, query.app_id, then, self._call_soon)
        else:
            self._counts.state_now()
            self._queries.answer(entry, query, then)

    # Redis comes and goes

    async def _on_up(self) -> None:
        """State everything: this host is connected, as a new node."""
        for entry in self._apps.values():
            if entry.connections:
                self._counts.state_connections(entry)
        self._users.on_up()
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
        self._histories.housekeep()
        self._incoming.housekeep()

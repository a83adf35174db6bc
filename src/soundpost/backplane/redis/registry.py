"""Who is where, on all hosts: what this host has, and what Redis says of the others.

This host's clients come first: events reach them at once, and while Redis is away everything goes on with those who are
here. All else is a statement to Redis of what is here, which may be repeated, and what follows from it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from typing import Any, Final

from soundpost.backplane.redis import messages as wire
from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import CONTROL, app_bucket, app_of, bucket_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.channels import Channels
from soundpost.backplane.redis.counts import Counts
from soundpost.backplane.redis.incoming import Incoming
from soundpost.backplane.redis.publish_queue import Outbox, Publication
from soundpost.backplane.redis.questions import Questions
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.scripts import ADMIT, ENTER, KEEP, LEAVE
from soundpost.backplane.registry import Load, NodeEnd
from soundpost.core.app_settings import AppSettings
from soundpost.core.member import Member
from soundpost.core.peers import Admission, Change, ChannelSnapshot, Query

_KEEP: Final = KEEP.digest.encode()


class ClusterRegistry:
    """The state that all nodes of this host share with those of others, by way of Redis."""

    def __init__(
        self,
        apps: Iterable[AppSettings],
        redis: Redis,
        *,
        loop: asyncio.AbstractEventLoop,
        max_connections: int | None = None,
    ) -> None:
        self._apps = {app.id: AppEntry(app) for app in apps}
        self._redis = redis
        self._clock = loop.time
        self._max_connections = max_connections
        self._connections = 0
        self._nodes: dict[NodeEnd, None] = {}
        self._counts = Counts(self._apps, redis, self._tell, loop.call_later)
        self._channels = Channels(self._apps, redis, self._counts, self._tell, loop.time)
        self._incoming = Incoming(self._apps, redis, self._channels, self._counts, loop.time)
        self._outbox = Outbox(redis.publish, loop.time)
        self._outbox.on_flow = lambda: self.on_reach()
        self._questions = Questions(redis, loop.time, loop.call_soon)
        self._number = 0  # of messages of ours
        self.on_reach: Callable[[], None] = lambda: None
        self._incoming.on_restart = lambda: self.on_restart()
        self.on_restart: Callable[[], None] = lambda: None
        """Called when all hosts are to restart."""
        redis.on_up, redis.on_flow, redis.on_down = self._take_up, self._take_flow, self._take_down
        redis.on_changes = self._take_changes

    @property
    def reaches_all(self) -> bool:
        """Whether events go to other hosts, and do not wait."""
        return self._outbox.flows

    def reconfigure(self, apps: Iterable[AppSettings]) -> None:
        """Other apps from now on. One that is gone is kept until its connections have left."""
        for app in apps:
            entry = self._apps.get(app.id)
            if entry is None:
                self._apps[app.id] = AppEntry(app)
            else:
                entry.configure(app)

    def load(self) -> dict[str, Load]:
        """What there is of each app on this host."""
        return {
            app_id: Load(sum(entry.connections.values()), len(entry.channels)) for app_id, entry in self._apps.items()
        }

    def connections_of(self, node: NodeEnd) -> int:
        """How many connections a node has."""
        return sum(entry.connections.get(node, 0) for entry in self._apps.values())

    # Nodes of this host

    def add_node(self, node: NodeEnd) -> None:
        """A node has come."""
        self._nodes[node] = None

    def _tell(self, app_id: str, changes: list[list[Any]]) -> None:
        """What observers are to know, once over all hosts."""
        node = next((each for each in self._nodes if each.watches), None)
        if node is None:
            return
        for what, *about in changes:
            node.tell(Change(what.decode(), [app_id, *(_text(each) for each in about)]))

    def _take_changes(self, bucket: bytes, changes: list[list[Any]]) -> None:
        self._tell(app_of(bucket), changes)

    # Connections

    def admit(self, node: NodeEnd, app_id: str, then: Callable[[Admission], None], address: str | None = None) -> None:
        """Count a connection, if there may be one more; an app's limit is that of all hosts together."""
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
        self, node: NodeEnd, entry: AppEntry, address: str | None, then: Callable[[Admission], None], answer: Any
    ) -> None:
        limit, here = entry.app.max_connections, sum(entry.connections.values())
        if answer == 1 or (not isinstance(answer, int) and (limit is None or here <= limit)):
            then("admitted")
            return
        self._count_connection(node, entry, -1, address)
        then("app_full")

    def release(self, node: NodeEnd, app_id: str, address: str | None = None) -> None:
        """A connection that was admitted is gone."""
        entry = self._apps[app_id]
        if entry.connections.get(node, 0) > 0:
            self._count_connection(node, entry, -1, address)

    def _count_connection(self, node: NodeEnd, entry: AppEntry, step: int, address: str | None) -> None:
        if node in self._nodes:
            entry.connections[node] = entry.connections.get(node, 0) + step
            self._connections += step
            count_address = entry.addresses.add if step > 0 else entry.addresses.remove
            count_address(node, address)
        self._counts.connections_changed(entry)

    # Subscriptions

    def join(
        self, node: NodeEnd, app_id: str, name: str, newcomer: Member | None, then: Callable[[ChannelSnapshot | None], None]
    ) -> None:
        """Count a subscription, once what others publish to the channel comes here. None: there is no room for it."""
        entry = self._apps[app_id]
        known = entry.channels.get(name)
        channel = known or self._channels.open(entry, name)
        if newcomer is not None:
            channel.claim(newcomer)
        if channel.waiting is None:
            self._join(node, entry, channel, newcomer, then)
            return
        channel.waiting.append(partial(self._join, node, entry, channel, newcomer, then))
        if not self._redis.up:
            self._channels.go_on(channel)
        elif known is None:
            self._channels.sync(channel)

    def _join(
        self,
        node: NodeEnd,
        entry: AppEntry,
        channel: SharedChannel,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
    ) -> None:
        if newcomer is None or (
            channel.own[newcomer.id][1] > 1 and channel.members is not None and newcomer.id in channel.members
        ):
            self._joined(node, channel, newcomer, then)
        else:
            entered = partial(self._entered, node, entry, channel, newcomer, then)
            limit = entry.app.max_presence_members
            blob = wire.member_blob(newcomer)
            self._redis.run(ENTER, channel.bucket, channel.name, newcomer.id, blob, limit, then=entered)

    def _entered(
        self,
        node: NodeEnd,
        entry: AppEntry,
        channel: SharedChannel,
        newcomer: Member,
        then: Callable[[ChannelSnapshot | None], None],
        answer: Any,
    ) -> None:
        if isinstance(answer, list):
            is_full = answer[0] is None
            self._tell(entry.app.id, answer[2])
            if not is_full:
                self._channels.heard_of(channel, int(answer[1]), partial(channel.enter, newcomer))
        else:  # without Redis this host's list is all there is
            is_full = channel.is_full_for(newcomer.id, entry.app.max_presence_members)
        if is_full:
            channel.waive(newcomer.id)
            then(None)
            self._channels.close_if_empty(entry, channel)
            return
        channel.enter(newcomer)
        self._joined(node, channel, newcomer, then)

    def _joined(
        self, node: NodeEnd, channel: SharedChannel, newcomer: Member | None, then: Callable[[ChannelSnapshot | None], None]
    ) -> None:
        user_id = None if newcomer is None else newcomer.id
        channel.add(node, user_id)
        self._counts.subscriptions_changed(channel)
        if node in self._nodes:
            then(channel.snapshot(self._clock()))
        else:  # it died meanwhile
            channel.remove(node, user_id)
            self._left(self._apps[channel.app_id], channel, user_id)

    def snapshot(self, app_id: str, name: str, then: Callable[[ChannelSnapshot], None]) -> None:
        """What a subscriber of a channel is told."""
        channel = self._apps[app_id].channels.get(name)
        then(ChannelSnapshot(None, None) if channel is None else channel.snapshot(self._clock()))

    def leave(self, node: NodeEnd, app_id: str, name: str, user_id: str | None) -> None:
        """A subscription is no more."""
        entry = self._apps[app_id]
        channel = entry.channels.get(name)
        if channel is not None and channel.remove(node, user_id):
            self._left(entry, channel, user_id)

    def lost(self, node: NodeEnd) -> None:
        """A node of this host is gone with all it had."""
        self._nodes.pop(node, None)
        for entry in self._apps.values():
            self._connections -= entry.connections.pop(node, 0)
            entry.addresses.forget(node)
            self._counts.connections_changed(entry)
            for channel in list(entry.channels.values()):
                share = channel.shares.get(node)
                if share is None:
                    continue
                users = [user_id for user_id, times in share.users.items() for _ in range(times)]
                for user_id in users or repeat(None, share.count):
                    channel.remove(node, user_id)
                    self._left(entry, channel, user_id)

    def _left(self, entry: AppEntry, channel: SharedChannel, user_id: str | None) -> None:
        self._counts.subscriptions_changed(channel)
        if user_id is not None and channel.waive(user_id):
            gone = partial(self._gone, entry, channel, user_id)
            self._redis.run(LEAVE, channel.bucket, channel.name, user_id, then=gone)
        self._channels.close_if_empty(entry, channel)

    def _gone(self, entry: AppEntry, channel: SharedChannel, user_id: str, answer: Any) -> None:
        if not isinstance(answer, list):
            channel.leave(user_id)  # whether it is elsewhere will be known when Redis is back
            return
        if answer[2]:
            self._tell(entry.app.id, answer[2])
            self._channels.heard_of(channel, int(answer[1]), partial(channel.leave, user_id))

    # Events

    def publish(
        self,
        node: NodeEnd | None,
        app_id: str,
        name: str,
        frame: bytes,
        except_socket_id: str | None,
        keep: bool,
        then: Callable[[bool], None],
    ) -> None:
        """Give an event to all nodes but the one it comes from. ``then`` is told whether Redis has it."""
        entry = self._apps[app_id]
        channel = entry.channels.get(name)
        if channel is not None:
            channel.deliver(frame, except_socket_id, node)
            if keep:
                channel.keep(frame, self._clock() + entry.app.cache_ttl)
        bucket = bucket_of(app_id, name)
        self._number += 1
        origin, number = self._redis.origin, self._number
        if keep:
            limits = (b"%d" % (entry.app.cache_ttl * 1000), b"%d" % entry.max_cached_per_bucket)
            header = (origin, b"%d" % number, wire.excluded(except_socket_id))
            publication = Publication(bucket, _KEEP, (name.encode(), frame, *limits, *header))
        else:
            data = wire.event(origin, number, except_socket_id, frame)
            publication = Publication(bucket, b"", (name.encode(), data))
        self._outbox.send(publication, then)

    def restart_all(self) -> None:
        """Have every host restart, this one too, one after the other."""
        self._number += 1
        order = b"%b %d" % (self._redis.origin, self._number)
        self._outbox.send(self._redis.restart_order(order), lambda sent: None)

    def terminate(self, node: NodeEnd, app_id: str, user_id: str) -> None:
        """Have a user's connections closed on all other nodes."""
        self._apps[app_id].terminate(user_id, node)
        self._number += 1
        data = wire.terminate(self._redis.origin, self._number, app_id, user_id)
        self._outbox.send(Publication(CONTROL, b"", (b"", data)), lambda sent: None)

    # Questions

    def answer(self, query: Query, then: Callable[[Any], None]) -> None:
        """Answer a question about all hosts; see the classes of :mod:`soundpost.core.peers`."""
        self._counts.state_soonest()
        self._questions.answer(self._apps[query.app_id], query, then)

    # Redis comes and goes

    def _take_up(self) -> None:
        """Connected, as a new node: state everything."""
        for entry in self._apps.values():
            if entry.connections:
                self._counts.state_connections(entry)
        self._channels.take_up()

    def _take_flow(self) -> None:
        """The other hosts are there too."""
        self._outbox.open()

    def _take_down(self) -> None:
        """Redis is away: those who wait for it wait no more."""
        self._outbox.shut()
        self.on_reach()
        self._channels.take_down()

    def housekeep(self) -> None:
        """What need not be done at once."""
        self._counts.housekeep()
        self._incoming.housekeep()


def _text(value: bytes | int) -> str | int:
    return value.decode() if isinstance(value, bytes) else value

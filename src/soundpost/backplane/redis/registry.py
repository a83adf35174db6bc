"""Who is where, on all hosts: what this host has, and what Redis says of the others.

This host's clients come first: events reach them at once, and while Redis is away everything goes on with those who are
here. All else is a statement to Redis of what is here, which may be repeated, and what follows from it there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from typing import Any, Final

from soundpost.backplane.redis import messages as wire
from soundpost.backplane.redis.buckets import CONTROL, app_bucket, app_of, bucket_of
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.connection import Then
from soundpost.backplane.redis.outbox import Make, Outbox
from soundpost.backplane.redis.questions import Questions
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.scripts import ADMIT, COUNT, ENTER, KEEP, LEAVE, SYNC, Script
from soundpost.backplane.registry import COUNT_AT_ONCE, NodeEnd
from soundpost.core.apps import App
from soundpost.core.peers import Admission, Change, Joined, Query
from soundpost.core.presence import Member
from soundpost.wire import messages

log = logging.getLogger("soundpost.redis")

COUNT_DELAY: Final = 0.01
"""Seconds that changed subscription counts wait for more, to be stated together."""


_MAX_HEARD: Final = 100_000

_SILENTLY: Final = "0"
_IF_CHANGED: Final = "1"
_ALWAYS: Final = "2"


class AppEntry:
    """What this host has of an app."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.channels: dict[str, SharedChannel] = {}
        self.connections: dict[NodeEnd, int] = {}


class ClusterRegistry:
    """The state that all nodes of this host share with those of others, by way of Redis."""

    def __init__(
        self,
        apps: Iterable[App],
        redis: Redis,
        *,
        loop: asyncio.AbstractEventLoop,
        max_connections: int | None = None,
    ) -> None:
        self._apps = {app.id: AppEntry(app) for app in apps}
        self._redis = redis
        self._call_later = loop.call_later
        self._clock = loop.time
        self._max_connections = max_connections
        self._connections = 0
        self._nodes: dict[NodeEnd, None] = {}
        self._outbox = Outbox(redis.send, loop.time)
        self._questions = Questions(redis, loop.time)
        self._number = 0  # of messages of ours
        self._dirty: dict[SharedChannel, None] = {}
        self._dirty_apps: dict[AppEntry, None] = {}
        self._counting = False
        self._large: set[SharedChannel] = set()
        self._topics: dict[bytes, SharedChannel] = {}
        self._heard: dict[tuple[bytes, bytes], int] = {}  # by bucket and origin, the number of the last message
        self.on_reach: Callable[[], None] = lambda: None
        self.foreign = 0
        """Messages on our topics that were none of ours."""
        redis.on_up, redis.on_flow, redis.on_down = self._take_up, self._take_flow, self._take_down
        redis.on_message, redis.on_changes = self._take_message, self._take_changes
        redis.tell_of = self._tell_of

    @property
    def reaches_all(self) -> bool:
        """Whether events go to other hosts, and do not wait."""
        return self._outbox.flows

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

    # Connections

    def admit(self, node: NodeEnd, app_id: str, then: Callable[[Admission], None]) -> None:
        """Count a connection, if there may be one more; an app's limit is that of all hosts together."""
        entry = self._apps[app_id]
        if self._max_connections is not None and self._connections >= self._max_connections:
            then("server_full")
            return
        self._count_connection(node, entry, 1)
        limit = entry.app.max_connections
        if limit is None:
            then("admitted")
        elif self._redis.up:
            answered = partial(self._admitted, node, entry, then)
            here = sum(entry.connections.values())
            self._redis.run(ADMIT, app_bucket(app_id), limit, here, then=answered)
        else:
            self._admitted(node, entry, then, None)

    def _admitted(self, node: NodeEnd, entry: AppEntry, then: Callable[[Admission], None], answer: Any) -> None:
        limit, here = entry.app.max_connections, sum(entry.connections.values())
        if answer == 1 or (not isinstance(answer, int) and (limit is None or here <= limit)):
            then("admitted")
            return
        self._count_connection(node, entry, -1)
        then("app_full")

    def release(self, node: NodeEnd, app_id: str) -> None:
        """A connection that was admitted is gone."""
        entry = self._apps[app_id]
        if entry.connections.get(node, 0) > 0:
            self._count_connection(node, entry, -1)

    def _count_connection(self, node: NodeEnd, entry: AppEntry, step: int) -> None:
        if node in self._nodes:
            entry.connections[node] = entry.connections.get(node, 0) + step
            self._connections += step
        self._dirty_apps[entry] = None
        self._state_soon()

    # Subscriptions

    def join(
        self, node: NodeEnd, app_id: str, name: str, newcomer: Member | None, then: Callable[[Joined | None], None]
    ) -> None:
        """Count a subscription, once what others publish to the channel comes here. None: there is no room for it."""
        entry = self._apps[app_id]
        known = entry.channels.get(name)
        channel = known or self._open(entry, name)
        if newcomer is not None:
            channel.claim(newcomer)
        if channel.waiting is None:
            self._join(node, entry, channel, newcomer, then)
            return
        channel.waiting.append(partial(self._join, node, entry, channel, newcomer, then))
        if not self._redis.up:
            self._go_on(channel)
        elif known is None:
            self._sync(channel)

    def _join(
        self,
        node: NodeEnd,
        entry: AppEntry,
        channel: SharedChannel,
        newcomer: Member | None,
        then: Callable[[Joined | None], None],
    ) -> None:
        if newcomer is None or (
            channel.own[newcomer.id][1] > 1 and channel.members is not None and newcomer.id in channel.members
        ):
            self._joined(node, channel, newcomer, then)
        else:
            entered = partial(self._entered, node, entry, channel, newcomer, then)
            self._run(
                ENTER,
                channel,
                newcomer.id,
                wire.member_blob(newcomer),
                entry.app.max_presence_members,
                tell="",
                then=entered,
            )

    def _entered(
        self,
        node: NodeEnd,
        entry: AppEntry,
        channel: SharedChannel,
        newcomer: Member,
        then: Callable[[Joined | None], None],
        answer: Any,
    ) -> None:
        if isinstance(answer, list):
            is_full = answer[0] is None
            self._tell(entry.app.id, answer[2])
            if not is_full:
                self._heard_of(channel, int(answer[1]), partial(channel.enter, newcomer))
        else:  # without Redis this host's list is all there is
            is_full = channel.is_full_for(newcomer.id, entry.app.max_presence_members)
        if is_full:
            channel.waive(newcomer.id)
            then(None)
            self._close_if_empty(entry, channel)
            return
        channel.enter(newcomer)
        self._joined(node, channel, newcomer, then)

    def _joined(
        self, node: NodeEnd, channel: SharedChannel, newcomer: Member | None, then: Callable[[Joined | None], None]
    ) -> None:
        user_id = None if newcomer is None else newcomer.id
        channel.add(node, user_id)
        self._count_later(channel)
        if node in self._nodes:
            then(channel.joined(self._clock()))
        else:  # it died meanwhile
            channel.remove(node, user_id)
            self._left(self._apps[channel.app_id], channel, user_id)

    def look(self, app_id: str, name: str, then: Callable[[Joined], None]) -> None:
        """What a subscriber of a channel is told."""
        channel = self._apps[app_id].channels.get(name)
        then(Joined(None, None) if channel is None else channel.joined(self._clock()))

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
            self._dirty_apps[entry] = None
            for channel in list(entry.channels.values()):
                share = channel.shares.get(node)
                if share is None:
                    continue
                users = [user_id for user_id, times in share.users.items() for _ in range(times)]
                for user_id in users or repeat(None, share.count):
                    channel.remove(node, user_id)
                    self._left(entry, channel, user_id)
        self._state_soon()

    def _left(self, entry: AppEntry, channel: SharedChannel, user_id: str | None) -> None:
        self._count_later(channel)
        if user_id is not None and channel.waive(user_id):
            self._run(LEAVE, channel, user_id, tell="", then=partial(self._gone, entry, channel, user_id))
        self._close_if_empty(entry, channel)

    def _gone(self, entry: AppEntry, channel: SharedChannel, user_id: str, answer: Any) -> None:
        if not isinstance(answer, list):
            channel.leave(user_id)  # whether it is elsewhere will be known when Redis is back
            return
        if answer[2]:
            self._tell(entry.app.id, answer[2])
            self._heard_of(channel, int(answer[1]), partial(channel.leave, user_id))

    # Channels, and what Redis says of them

    def _open(self, entry: AppEntry, name: str) -> SharedChannel:
        bucket = bucket_of(entry.app.id, name)
        channel = SharedChannel(entry.app.id, name, bucket, self._redis.topic(bucket, name))
        entry.channels[name] = channel
        self._topics[channel.topic] = channel
        return channel

    def _close_if_empty(self, entry: AppEntry, channel: SharedChannel) -> None:
        if channel.is_wanted:
            return
        if entry.channels.get(channel.name) is channel:
            del entry.channels[channel.name], self._topics[channel.topic]
            self._dirty.pop(channel, None)
            self._large.discard(channel)
            self._redis.unsubscribe(channel.bucket, channel.topic)
            self._state_count(channel, _IF_CHANGED if self._announces(channel) else _SILENTLY)

    def _sync(self, channel: SharedChannel) -> None:
        """State all that is here of a channel, and ask for all there is."""
        channel.syncing = True
        self._redis.subscribe(channel.bucket, channel.topic)
        users: list[str | bytes] = []
        for user_id, (member, _) in channel.own.items():
            users += [user_id, wire.member_blob(member)]
        if channel.waiting:
            users = []  # there may be no room for them: they ask one by one
        self._run(SYNC, channel, channel.stated_count, *users, tell=_SILENTLY, then=partial(self._synced, channel))

    def _synced(self, channel: SharedChannel, answer: Any) -> None:
        entry = self._apps[channel.app_id]
        if entry.channels.get(channel.name) is not channel:
            return
        if isinstance(answer, list):
            last, version, _, members, milliseconds = answer
            self._tell(entry.app.id, answer[2])
            channel.syncing = False
            channel.version = int(version)
            if last is not None:
                channel.keep(last.split(b" ", 1)[1], self._clock() + max(0, milliseconds) / 1000)
            channel.take_members([wire.member_of(blob) for blob in members])
        self._go_on(channel)

    def _go_on(self, channel: SharedChannel) -> None:
        """Joins waited for Redis: it has answered, or is away."""
        waiting, channel.waiting = channel.waiting, None
        for join in waiting or ():
            join()
        self._close_if_empty(self._apps[channel.app_id], channel)

    def _heard_of(self, channel: SharedChannel, version: int, apply: Callable[[], None]) -> None:
        """A change to a channel's members or last event, its number and what follows from it."""
        if channel.syncing or version <= channel.version:
            return  # part of an answer that came, or is to come
        if channel.version and version > channel.version + 1:
            log.warning("a message about %s of app %s is missing: asking anew", channel.name, channel.app_id)
            self._sync(channel)
            return
        channel.version = version
        apply()

    def _tell_of(self, bucket: bytes) -> str:
        entry = self._apps.get(app_of(bucket))
        return _IF_CHANGED if entry is not None and entry.app.subscription_count else _SILENTLY

    def _take_changes(self, bucket: bytes, changes: list[list[Any]]) -> None:
        self._tell(app_of(bucket), changes)

    def _take_message(self, topic: bytes, data: bytes) -> None:
        """Something was published on one of our topics."""
        message = wire.parse(data)
        channel = self._topics.get(topic)
        if message is None:
            self._take_foreign(topic, data)
        elif isinstance(message, wire.Hello):
            self._redis.known = max(self._redis.known, message.nodes)
        elif isinstance(message, wire.Terminate):
            self._take_terminate(message)
        elif channel is None:
            pass  # it was left a moment ago
        elif isinstance(message, wire.Event):
            self._take_event(channel, message)
        elif isinstance(message, wire.Entered):
            self._heard_of(channel, message.version, partial(channel.enter, message.member))
        elif isinstance(message, wire.Left):
            self._heard_of(channel, message.version, partial(channel.leave, message.user_id))
        elif self._announces(channel):
            channel.deliver(messages.subscription_count(channel.name, message.subscriptions))

    def _take_terminate(self, message: wire.Terminate) -> None:
        if message.origin == self._redis.origin or message.app_id not in self._apps:
            return
        if self._is_new(CONTROL, message.origin, message.number):
            self._terminate_here(message.app_id, message.user_id, None)

    def _terminate_here(self, app_id: str, user_id: str, except_node: NodeEnd | None) -> None:
        for node, connections in list(self._apps[app_id].connections.items()):
            if connections and node is not except_node:
                node.terminate(app_id, user_id)

    def _take_event(self, channel: SharedChannel, event: wire.Event) -> None:
        if event.version:
            until = self._clock() + self._apps[channel.app_id].app.cache_ttl
            self._heard_of(channel, event.version, partial(channel.keep, event.frame, until))
        if event.origin != self._redis.origin and self._is_new(channel.bucket, event.origin, event.number):
            channel.deliver(event.frame, event.except_socket_id)

    def _is_new(self, bucket: bytes, origin: bytes, number: int) -> bool:
        """Whether a message was not heard before: after an outage a node repeats what it is not sure of."""
        if number <= self._heard.get((bucket, origin), 0):
            return False
        self._heard[bucket, origin] = number
        return True

    def _take_foreign(self, topic: bytes, data: bytes) -> None:
        self.foreign += 1
        if self.foreign == 1 or self.foreign % 10_000 == 0:
            log.warning(
                "%d message(s) on our topics in Redis were none of ours and were dropped; the last, on %s, begins with "
                "%r. Give each installation a prefix of its own (scaling.prefix)",
                self.foreign,
                topic.decode(errors="replace"),
                data[:40],
            )

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
        header = wire.event_header(self._redis.origin, self._number, except_socket_id)
        make: Make
        if keep:
            make = partial(self._redis.script, KEEP, bucket, name, frame, entry.app.cache_ttl * 1000, header)
        else:
            make = partial(self._redis.publication, bucket, name, wire.event(header, frame))
        self._outbox.send(bucket, make, len(frame), then)

    def terminate(self, node: NodeEnd, app_id: str, user_id: str) -> None:
        """Have a user's connections closed on all other nodes."""
        self._terminate_here(app_id, user_id, node)
        self._number += 1
        data = wire.terminate(self._redis.origin, self._number, app_id, user_id)
        self._outbox.send(CONTROL, partial(self._redis.publication, CONTROL, "", data), len(data), lambda sent: None)

    # Subscription counts

    def _count_later(self, channel: SharedChannel) -> None:
        self._dirty[channel] = None
        self._state_soon()

    def _state_soon(self) -> None:
        if not self._counting:
            self._counting = True
            self._call_later(COUNT_DELAY, self._state_counts)

    def _state_counts(self) -> None:
        """Tell Redis of changed numbers of connections and subscriptions."""
        self._counting = False
        apps, self._dirty_apps = self._dirty_apps, {}
        for entry in apps:
            self._redis.state_connections(entry.app.id, sum(entry.connections.values()))
        dirty, self._dirty = self._dirty, {}
        for channel in dirty:
            if channel.count > COUNT_AT_ONCE and self._announces(channel):
                self._large.add(channel)
                self._state_count(channel, _SILENTLY)
            else:
                self._state_count(channel, _ALWAYS if self._announces(channel) else _SILENTLY)

    def every_few_seconds(self) -> None:
        """Announce the counts of large channels; forget senders, most of whom are gone, when there are too many."""
        if len(self._heard) > _MAX_HEARD:
            self._heard.clear()
        large, self._large = self._large, set()
        for channel in large:
            self._state_count(channel, _ALWAYS)

    def _announces(self, channel: SharedChannel) -> bool:
        return channel.members is None and self._apps[channel.app_id].app.subscription_count

    def _state_count(self, channel: SharedChannel, tell: str) -> None:
        counted = partial(self._counted, self._apps[channel.app_id])
        self._run(COUNT, channel, channel.stated_count, tell=tell, then=counted)

    def _counted(self, entry: AppEntry, answer: Any) -> None:
        if isinstance(answer, list):
            self._tell(entry.app.id, answer)

    # Questions

    def answer(self, query: Query, then: Callable[[Any], None]) -> None:
        """Answer a question about all hosts; see the classes of :mod:`soundpost.core.peers`."""
        if self._counting:
            self._state_counts()
        self._questions.answer(self._apps[query.app_id], query, then)

    # Redis comes and goes

    def _take_up(self) -> None:
        """Connected, as a new node: state everything."""
        for entry in self._apps.values():
            if entry.connections:
                self._redis.state_connections(entry.app.id, sum(entry.connections.values()))
            for channel in entry.channels.values():
                self._sync(channel)

    def _take_flow(self) -> None:
        """The other hosts are there too."""
        self._outbox.open()
        self.on_reach()

    def _take_down(self) -> None:
        """Redis is away: those who wait for it wait no more."""
        self._outbox.shut()
        self.on_reach()
        for entry in self._apps.values():
            for channel in list(entry.channels.values()):
                if channel.waiting is not None:
                    self._go_on(channel)

    def _run(
        self, script: Script, channel: SharedChannel, *arguments: str | bytes | int, tell: str, then: Then
    ) -> None:
        before = () if not tell else (tell,)
        self._redis.run(script, channel.bucket, *before, channel.name, *arguments, then=then)


def _text(value: bytes | int) -> str | int:
    return value.decode() if isinstance(value, bytes) else value

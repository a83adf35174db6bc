"""Who is where, on all nodes: connections, subscriptions, members, last events. One for all nodes, no I/O.

With one process it stands beside the node; with several, in the process that connects them. Presence, counts and
occupancy are exact because every change passes through here, one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from soundpost.backplane.addresses import Addresses
from soundpost.backplane.attributes import channel_attributes, json_members
from soundpost.backplane.event_cache import EventCache
from soundpost.backplane.members import Members
from soundpost.backplane.slices import at_once, json_in_slices
from soundpost.core.app_settings import AppSettings
from soundpost.core.member import Member
from soundpost.core.outbox import CallSoon
from soundpost.core.peers import (
    Admission,
    Change,
    ChannelQuery,
    ChannelsQuery,
    ConnectionsQuery,
    ChannelSnapshot,
    Query,
    UsersQuery,
)
from soundpost.wire import messages
from soundpost.wire.channel_names import kind_of

COUNT_AT_ONCE: Final = 100
"""Up to this many subscribers a changed count is announced at once, above it every few seconds, as Pusher does."""


class Load(NamedTuple):
    """How much there is of an app."""

    connections: int
    channels: int


class NodeEnd(Protocol):
    """One node, as the registry reaches it: :class:`soundpost.core.node.Node`, or a link to one elsewhere."""

    @property
    def watches(self) -> bool:
        """Whether it has observers, who want to be told of changes."""

    def deliver_event(self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None) -> None:
        """An event for the subscribers of a channel on this node, but one."""

    def terminate(self, app_id: str, user_id: str) -> None:
        """The connections of a user on this node are to be closed."""

    def tell(self, change: Change) -> None:
        """Something happened that concerns all nodes, and is told to this one."""


class _Channel:
    """A channel on all nodes."""

    __slots__ = ("count", "members", "name", "shares")

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.shares: list[_Share] = []  # few: a dictionary would take 150 bytes more, of each channel
        self.members = Members() if kind_of(name).is_presence else None

    def is_full_for(self, user_id: str, max_members: int) -> bool:
        """Whether there is no room for a user."""
        return self.members is not None and user_id not in self.members and len(self.members) >= max_members

    def share_of(self, node: NodeEnd) -> _Share | None:
        """What a node has of it, if anything."""
        for share in self.shares:
            if share.node is node:
                return share
        return None


_NOBODY: Final[dict[str, int]] = {}
"""The same for all channels without members: there are many of them."""


class _Share:
    """What one node has of a channel: subscriptions, and on presence channels those of each user."""

    __slots__ = ("count", "node", "users")

    def __init__(self, node: NodeEnd, *, has_users: bool) -> None:
        self.node = node
        self.count = 0
        self.users: dict[str, int] = {} if has_users else _NOBODY


class _AppEntry:
    """An app on all nodes."""

    def __init__(self, app: AppSettings, clock: Callable[[], float]) -> None:
        self.app = app
        self.connections: dict[NodeEnd, int] = {}
        self.addresses = Addresses()
        self.channels: dict[str, _Channel] = {}
        self.cache = EventCache(clock)
        self.counts_due: set[_Channel] = set()
        """Large channels whose subscription count changed since it was last announced."""


class Registry:
    """The state that all nodes share.

    ``max_connections``: of all apps together; ``clock`` in seconds; ``call_soon`` of the loop that long answers leave
    alone in between.
    """

    def __init__(
        self,
        apps: Iterable[AppSettings],
        *,
        max_connections: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        call_soon: CallSoon = at_once,
    ) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._apps = {app.id: _AppEntry(app, clock) for app in apps}
        self._max_connections = max_connections
        self._connections = 0
        self._nodes: dict[NodeEnd, None] = {}
        self.reaches_all = True
        self.on_reach: Callable[[], None] = lambda: None

    def reconfigure(self, apps: Iterable[AppSettings]) -> None:
        """Other apps from now on. One that is gone is kept until its connections have left."""
        for app in apps:
            entry = self._apps.get(app.id)
            if entry is None:
                self._apps[app.id] = _AppEntry(app, self._clock)
            else:
                entry.app = app

    def load(self) -> dict[str, Load]:
        """What there is of each app."""
        return {
            app_id: Load(sum(entry.connections.values()), len(entry.channels)) for app_id, entry in self._apps.items()
        }

    def connections_of(self, node: NodeEnd) -> int:
        """How many connections a node has."""
        return sum(entry.connections.get(node, 0) for entry in self._apps.values())

    def add_node(self, node: NodeEnd) -> None:
        """A node has come."""
        self._nodes[node] = None

    # Connections

    def admit(self, node: NodeEnd, app_id: str, then: Callable[[Admission], None], address: str | None = None) -> None:
        """Count a connection, if there may be one more."""
        then(self._admit(node, app_id, address))

    def _admit(self, node: NodeEnd, app_id: str, address: str | None) -> Admission:
        if self._max_connections is not None and self._connections >= self._max_connections:
            return "server_full"
        entry = self._apps[app_id]
        limit = entry.app.max_connections
        if limit is not None and sum(entry.connections.values()) >= limit:
            return "app_full"
        if entry.addresses.are_full(address, entry.app.max_connections_per_ip):
            return "address_full"
        entry.addresses.add(node, address)
        entry.connections[node] = entry.connections.get(node, 0) + 1
        self._connections += 1
        return "admitted"

    def release(self, node: NodeEnd, app_id: str, address: str | None = None) -> None:
        """A connection that was admitted is gone."""
        entry = self._apps[app_id]
        if entry.connections.get(node, 0) > 0:
            entry.connections[node] -= 1
            entry.addresses.remove(node, address)
            self._connections -= 1

    def terminate(self, node: NodeEnd, app_id: str, user_id: str) -> None:
        """Have a user's connections closed on the other nodes that have any of the app: one that starts has none."""
        for other, connections in self._apps[app_id].connections.items():
            if connections and other is not node:
                other.terminate(app_id, user_id)

    # Subscriptions

    def join(
        self,
        node: NodeEnd,
        app_id: str,
        name: str,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
    ) -> None:
        """Count a subscription; tell the other subscribers of a new member. None: there is no room for it."""
        entry = self._apps[app_id]
        channel = entry.channels.get(name) or _Channel(name)
        members = channel.members
        if newcomer is not None and channel.is_full_for(newcomer.id, entry.app.max_presence_members):
            then(None)
            return
        if not channel.count:
            entry.channels[name] = channel
            node.tell(Change("channel_occupied", [app_id, name]))
        if members is not None and newcomer is not None and members.enter(newcomer):
            self._deliver(app_id, channel, messages.member_added(name, newcomer.id_json, newcomer.info_json))
            node.tell(Change("member_added", [app_id, name, newcomer.id]))
        share = channel.share_of(node)
        if share is None:
            share = _Share(node, has_users=members is not None)
            channel.shares.append(share)
        if newcomer is not None:
            share.users[newcomer.id] = share.users.get(newcomer.id, 0) + 1
        share.count += 1
        channel.count += 1
        then(self._joined(entry, channel))
        if entry.app.subscription_count:
            self._count_changed(entry, channel, node)

    def snapshot(self, app_id: str, name: str, then: Callable[[ChannelSnapshot], None]) -> None:
        """What a subscriber of a channel is told."""
        entry = self._apps[app_id]
        then(self._joined(entry, entry.channels.get(name) or _Channel(name)))

    def leave(self, node: NodeEnd, app_id: str, name: str, user_id: str | None) -> None:
        """A subscription is no more; tell the others of a member who left."""
        entry = self._apps[app_id]
        channel = entry.channels.get(name)
        share = None if channel is None else channel.share_of(node)
        if channel is None or share is None:
            return
        if user_id is not None:
            share.users[user_id] -= 1
            if not share.users[user_id]:
                del share.users[user_id]
        share.count -= 1
        if not share.count:
            channel.shares.remove(share)
        self._left(entry, channel, {} if user_id is None else {user_id: 1}, 1, node)

    def lost(self, node: NodeEnd) -> None:
        """A node is gone with all it had. Another one is told what has become of its channels."""
        self._nodes.pop(node, None)
        heir = next((other for other in self._nodes if other.watches), None)
        for entry in self._apps.values():
            self._connections -= entry.connections.pop(node, 0)
            entry.addresses.forget(node)
            for channel in list(entry.channels.values()):
                share = channel.share_of(node)
                if share is not None:
                    channel.shares.remove(share)
                    self._left(entry, channel, share.users, share.count, heir)

    def _left(
        self, entry: _AppEntry, channel: _Channel, users: dict[str, int], count: int, told: NodeEnd | None
    ) -> None:
        app_id, members = entry.app.id, channel.members
        channel.count -= count
        if members is not None:
            for user_id, connections in users.items():
                member = members.leave(user_id, connections)
                if member is None:
                    continue
                self._deliver(app_id, channel, messages.member_removed(channel.name, member.id_json))
                if told is not None:
                    told.tell(Change("member_removed", [app_id, channel.name, user_id]))
        if not channel.count:
            del entry.channels[channel.name]
            entry.counts_due.discard(channel)
            if told is not None:
                told.tell(Change("channel_vacated", [app_id, channel.name]))
        elif entry.app.subscription_count:
            self._count_changed(entry, channel, told)

    def _joined(self, entry: _AppEntry, channel: _Channel) -> ChannelSnapshot:
        cached = entry.cache.get(channel.name) if len(entry.cache) else None
        presence = None if channel.members is None else channel.members.as_json_string()
        return ChannelSnapshot(presence, cached)

    # Events

    def publish(
        self,
        node: NodeEnd,
        app_id: str,
        name: str,
        frame: bytes,
        except_socket_id: str | None,
        keep: bool,
        then: Callable[[bool], None],
    ) -> None:
        """Give an event to the other nodes that have subscribers of its channel; ``then`` is told that they have it."""
        entry = self._apps[app_id]
        if keep:
            entry.cache.put(name, frame, ttl=entry.app.cache_ttl, max_channels=entry.app.max_cached_channels)
        channel = entry.channels.get(name)
        if channel is not None:
            for share in channel.shares:
                if share.node is not node:
                    share.node.deliver_event(app_id, name, frame, except_socket_id)
        then(True)

    def _deliver(self, app_id: str, channel: _Channel, frame: bytes) -> None:
        for share in channel.shares:
            share.node.deliver_event(app_id, channel.name, frame, None)

    # Subscription counts

    def _count_changed(self, entry: _AppEntry, channel: _Channel, told: NodeEnd | None) -> None:
        if not kind_of(channel.name).announces_count:
            return
        if channel.count > COUNT_AT_ONCE:
            entry.counts_due.add(channel)
        else:
            self._announce_count(entry, channel, told)

    def _announce_count(self, entry: _AppEntry, channel: _Channel, told: NodeEnd | None) -> None:
        self._deliver(entry.app.id, channel, messages.subscription_count(channel.name, channel.count))
        if told is not None:
            told.tell(Change("subscription_count", [entry.app.id, channel.name, channel.count]))

    def housekeep(self) -> None:
        """What need not be done at once: counts of large channels, expired events."""
        for entry in self._apps.values():
            entry.cache.drop_expired()
            due, entry.counts_due = entry.counts_due, set()
            for channel in due:
                self._announce_count(entry, channel, channel.shares[0].node)

    # Questions

    def answer(self, query: Query, then: Callable[[Any], None]) -> None:
        """Answer a question about all nodes; see the classes of :mod:`soundpost.core.peers`."""
        if isinstance(query, ChannelsQuery):
            self._answer_channels(query, then)
        else:
            then(self._answer(query))

    def _answer_channels(self, query: ChannelsQuery, then: Callable[[bytes], None]) -> None:
        entry = self._apps[query.app_id]

        def make(names: Sequence[str], then: Callable[[bytes], None]) -> None:
            occupied = [name for name in names if name.startswith(query.prefix) and name in entry.channels]
            then(json_members({name: _attributes(entry, name, query.attributes) for name in occupied}))

        json_in_slices(list(entry.channels), make, then, self._call_soon)

    def _answer(self, query: ChannelQuery | UsersQuery | ConnectionsQuery) -> Any:
        entry = self._apps[query.app_id]
        if isinstance(query, ConnectionsQuery):
            return sum(entry.connections.values())
        if isinstance(query, UsersQuery):
            channel = entry.channels.get(query.channel)
            return [] if channel is None or channel.members is None else channel.members.ids_json
        return [_attributes(entry, name, query.attributes) for name in query.names]


def _attributes(entry: _AppEntry, name: str, asked: list[str]) -> dict[str, Any]:
    channel = entry.channels.get(name)
    last = entry.cache.get(name) if "cache" in asked else None
    return channel_attributes(
        name,
        asked,
        subscriptions=0 if channel is None else channel.count,
        users=0 if channel is None or channel.members is None else len(channel.members),
        last=last,
        ttl=0 if last is None else entry.cache.seconds_left(name),
    )

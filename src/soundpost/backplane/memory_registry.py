"""The registry of a host that is alone: connections, subscriptions, members and last events, in memory. No I/O.

One registry serves all nodes of the host. With one process it stands beside the node; with several, in the process that
connects them. Presence, counts and occupancy are exact because every change passes through here, one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Any, Final

from soundpost.backplane.attributes import channel_attributes, json_members
from soundpost.backplane.history_store import HistoryStore
from soundpost.backplane.lingering_members import Graces
from soundpost.backplane.memory_channels import AppEntry, ChannelEntry, Share
from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.registry import COUNT_AT_ONCE, Load
from soundpost.backplane.signed_in_users import SignedInUsers
from soundpost.backplane.slices import at_once, json_in_slices, parts_in_slices
from soundpost.config.settings import ServerSettings
from soundpost.core import webhook_records
from soundpost.core.app_settings import AppSettings
from soundpost.core.gathered_notices import GATHERED_ABOVE, MemberNotice
from soundpost.core.history import HistoryRequest
from soundpost.core.member import Member
from soundpost.core.observer_events import (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    SubscriptionCountChanged,
)
from soundpost.core.outbox import CallLater, CallSoon, never
from soundpost.core.peers import (
    Admission,
    ChannelEvents,
    ChannelQuery,
    ChannelSnapshot,
    ChannelsQuery,
    ConnectionsQuery,
    HistoryChannelsQuery,
    HistoryDeletion,
    HistoryQuery,
    OutgoingEvent,
    PeersHandler,
    Query,
    UsersQuery,
)
from soundpost.core.presence_grace import SENT_AWAY, ends_finally
from soundpost.core.slices import TurnBudget, in_slices
from soundpost.core.webhooks import WebhookEvent, WebhookLog
from soundpost.wire import messages
from soundpost.wire.channel_names import kind_of
from soundpost.wire.json_text import encode

_NOTHING: Final = ChannelSnapshot(None, None)


class MemoryRegistry:
    """The state that all nodes of a host share; see :class:`soundpost.backplane.registry.Registry`.

    ``max_connections`` is the limit of all apps together, ``clock`` is in seconds. Long answers are made a slice at a
    time; between two slices ``call_soon`` lets the loop do other work. ``call_later`` is the loop's.
    """

    def __init__(
        self,
        apps: Iterable[AppSettings],
        *,
        max_connections: int | None = None,
        history: HistoryStore | None = None,
        clock: Callable[[], float] = time.monotonic,
        call_soon: CallSoon = at_once,
        call_later: CallLater = never,
        webhooks: WebhookLog | None = None,
    ) -> None:
        self.webhooks = webhooks
        self._call_soon = call_soon
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self._long_lists = TurnBudget(call_soon, lambda: self.turn_clock())
        self._clock = clock
        self._apps = {app.id: AppEntry(app, clock) for app in apps}
        self.history = history or HistoryStore(ServerSettings().max_history_size)
        for app in self._apps.values():
            self.history.configure(app.app)
        self.graces = Graces(self._apps, clock, call_soon, call_later, self._uncount_lingering)
        self.users = SignedInUsers(self._apps, clock, call_soon, call_later, self.report)
        self._max_connections = max_connections
        self._connections = 0
        self._nodes: dict[PeersHandler, None] = {}
        self.reaches_all = True
        self.is_behind = False
        self.on_reachability: Callable[[], None] = lambda: None

    def reconfigure(self, apps: Iterable[AppSettings]) -> None:
        """Take other apps, or other settings. An app that is gone is kept until its connections have left."""
        apps = tuple(apps)
        for app in apps:
            entry = self._apps.get(app.id)
            if entry is None:
                self._apps[app.id] = AppEntry(app, self._clock)
            else:
                entry.configure(app)
            self.history.configure(app)
        served = {app.id for app in apps if app.enabled}
        self.graces.end_of_gone_apps(served)
        self.users.end_of_gone_apps(served)

    def load(self) -> dict[str, Load]:
        """Return the load of each app, by app id."""
        return {
            app_id: Load(sum(entry.connections.values()), len(entry.channels)) for app_id, entry in self._apps.items()
        }

    def occupancy(self) -> dict[str, Occupancy]:
        """Return the numbers of channels and members of each app, by app id."""
        return {app_id: entry.occupancy for app_id, entry in self._apps.items()}

    def kept(self) -> tuple[int, int]:
        """Return the number of events that histories keep in this process, and their bytes."""
        return self.history.number, self.history.size

    def connections_of(self, node: PeersHandler) -> int:
        """Return the number of a node's connections, of all apps."""
        return sum(entry.connections.get(node, 0) for entry in self._apps.values())

    def add_node(self, node: PeersHandler) -> None:
        """Take a new node."""
        self._nodes[node] = None

    @property
    def is_alone(self) -> bool:
        """Tell whether the registry has one node only."""
        return len(self._nodes) == 1

    # Connections

    def admit(
        self, node: PeersHandler, app_id: str, then: Callable[[Admission], None], address: str | None = None
    ) -> None:
        """Count a connection, unless a limit is reached."""
        then(self._admit(node, app_id, address))

    def _admit(self, node: PeersHandler, app_id: str, address: str | None) -> Admission:
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

    def release(self, node: PeersHandler, app_id: str, address: str | None = None) -> None:
        """Stop counting a connection that was admitted with this address."""
        entry = self._apps[app_id]
        if entry.connections.get(node, 0) > 0:
            entry.connections[node] -= 1
            entry.addresses.remove(node, address)
            self._connections -= 1

    def terminate(self, node: PeersHandler, app_id: str, user_id: str) -> None:
        """Close all connections of a user on the other nodes that have connections of the app; end its graces."""
        self.graces.end_of_user(app_id, user_id)
        self.users.end_of_user(app_id, user_id)
        for other, connections in self._apps[app_id].connections.items():
            if connections and other is not node:
                other.terminate(app_id, user_id)

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
        """Count a subscription and tell the other subscribers of a new member. Answer None: the channel is full.

        Subscriptions to presence channels with very many members have some milliseconds of each loop turn: 10,000
        members are a list of 700 kB, and very many clients may come at once.
        """
        known = self._apps[app_id].channels.get(name)
        join = partial(self._join, node, app_id, name, newcomer, then, history, socket_id)
        if known is None or known.members is None or len(known.members) <= GATHERED_ABOVE:
            join()
            return

        def join_later() -> None:
            if node in self._nodes:  # else it died while the subscription waited
                join()

        self._long_lists.do(join_later)

    def _join(
        self,
        node: PeersHandler,
        app_id: str,
        name: str,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None,
        socket_id: str | None,
    ) -> None:
        entry = self._apps[app_id]
        channel = entry.channel(name)
        members = channel.members
        if newcomer is not None and channel.is_full_for(newcomer.id, entry.app.max_presence_members):
            then(None)
            return
        if not channel.count:
            entry.channels[name] = channel
            entry.occupancy.occupied(name)
            if node.has_observers:
                node.observe(ChannelOccupied(app_id, name))
            if "channel_occupied" in entry.reports:
                self.report(app_id, webhook_records.channel_event("channel_occupied", name))
        if members is not None and newcomer is not None:
            if members.enter(newcomer):
                entry.occupancy.members += 1
                frame = messages.member_added(name, newcomer.id_json, newcomer.info_json)
                self._notify(app_id, channel, MemberNotice(newcomer.id, True, frame))
                node.observe(MemberAdded(app_id, name, newcomer.id))
                if entry.reports:
                    self._report_member(entry, "member_added", channel, newcomer, socket_id)
            else:
                entry.lingering.take_back(channel, newcomer)
        share = channel.share_of(node)
        if share is None:
            share = Share(node, has_users=members is not None)
            channel.shares += (share,)
        if newcomer is not None:
            share.users[newcomer.id] = share.users.get(newcomer.id, 0) + 1
        share.count += 1
        channel.count += 1
        then(self._snapshot(entry, channel, history))
        if entry.app.subscription_count:
            self._count_changed(entry, channel, node)

    def snapshot(
        self, app_id: str, name: str, then: Callable[[ChannelSnapshot], None], history: HistoryRequest | None = None
    ) -> None:
        """Read the state that a subscriber of the channel is sent."""
        entry = self._apps[app_id]
        channel = entry.channel(name)
        if channel.members is None or len(channel.members) <= GATHERED_ABOVE:
            then(self._snapshot(entry, channel, history))
        else:
            self._long_lists.do(lambda: then(self._snapshot(entry, entry.channel(name), history)))

    def leave(
        self,
        node: PeersHandler,
        app_id: str,
        name: str,
        user_id: str | None,
        linger: float = 0,
        socket_id: str | None = None,
    ) -> None:
        """Stop counting a subscription and tell the other subscribers of a member who left."""
        entry = self._apps[app_id]
        channel = entry.channels.get(name)
        if (
            self._long_lists.is_behind
            and channel is not None
            and channel.members is not None
            and len(channel.members) > GATHERED_ABOVE
        ):  # a subscription of the same user may wait there, from before
            self._long_lists.do(partial(self._leave_by_name, node, app_id, name, user_id, linger, socket_id))
        else:
            self._leave(node, entry, channel, user_id, linger, socket_id)

    def _leave_by_name(
        self, node: PeersHandler, app_id: str, name: str, user_id: str | None, linger: float, socket_id: str | None
    ) -> None:
        entry = self._apps[app_id]
        self._leave(node, entry, entry.channels.get(name), user_id, linger, socket_id)

    def _leave(
        self,
        node: PeersHandler,
        entry: AppEntry,
        channel: ChannelEntry | None,
        user_id: str | None,
        linger: float,
        socket_id: str | None,
    ) -> None:
        share = None if channel is None else channel.share_of(node)
        if channel is None or share is None:
            return
        if user_id is not None:
            share.users[user_id] -= 1
            if not share.users[user_id]:
                del share.users[user_id]
        share.count -= 1
        if not share.count:
            channel.drop(share)
        users = {} if user_id is None else {user_id: 1}
        if linger and users:
            self.graces.begin(entry, channel, users, linger)
        self._uncount(entry, channel, users, 1, node, socket_id)

    def remove_node(self, node: PeersHandler) -> None:
        """Remove a node that is gone, and all it had but members, who have a grace. Another node reports changes.

        Very many subscriptions end over several loop turns.
        """
        self._nodes.pop(node, None)
        for entry in self._apps.values():
            self._connections -= entry.connections.pop(node, 0)
            entry.addresses.forget(node)

        def channels() -> Iterator[tuple[AppEntry, ChannelEntry]]:  # 100,000 tuples at once would wake the collector
            for entry in list(self._apps.values()):
                yield from zip(repeat(entry), list(entry.channels.values()))

        def leave(found: tuple[AppEntry, ChannelEntry]) -> None:
            entry, channel = found
            share = channel.share_of(node)
            if share is not None:
                channel.drop(share)
                if share.users:
                    self.graces.begin(entry, channel, share.users, SENT_AWAY)
                self._uncount(entry, channel, share.users, share.count, self._reporter())

        in_slices(
            channels(),
            leave,
            self._call_soon,
            then=partial(self.users.remove_node, node),
            clock=self.turn_clock,
        )

    def _reporter(self) -> PeersHandler | None:
        """Return a node that reports changes for which no node is responsible."""
        return next((node for node in self._nodes if node.has_observers), None)

    def _uncount_lingering(self, entry: AppEntry, channel: ChannelEntry, user_id: str, in_time: bool) -> None:
        is_final = in_time and ends_finally(entry.app.presence_grace)
        self._uncount_members(entry, channel, {user_id: 1}, self._reporter(), is_final=is_final)

    def _uncount(
        self,
        entry: AppEntry,
        channel: ChannelEntry,
        users: dict[str, int],
        count: int,
        reporter: PeersHandler | None,
        socket_id: str | None = None,
    ) -> None:
        app_id = entry.app.id
        channel.count -= count
        self._uncount_members(entry, channel, users, reporter, socket_id)
        if not channel.count:
            del entry.channels[channel.name]
            entry.occupancy.vacated(channel.name)
            entry.counts_due.discard(channel)
            if reporter is not None:
                reporter.observe(ChannelVacated(app_id, channel.name))
            if "channel_vacated" in entry.reports:
                self.report(app_id, webhook_records.channel_event("channel_vacated", channel.name))
        elif entry.app.subscription_count:
            self._count_changed(entry, channel, reporter)

    def _uncount_members(
        self,
        entry: AppEntry,
        channel: ChannelEntry,
        users: dict[str, int],
        reporter: PeersHandler | None,
        socket_id: str | None = None,
        is_final: bool = False,
    ) -> None:
        app_id, members = entry.app.id, channel.members
        if members is None:
            return
        for user_id, connections in users.items():
            member = members.leave(user_id, connections)
            if member is None:
                continue
            entry.occupancy.members -= 1
            frame = messages.member_removed(channel.name, member.id_json)
            self._notify(app_id, channel, MemberNotice(user_id, False, frame))
            if reporter is not None:
                reporter.observe(MemberRemoved(app_id, channel.name, user_id))
            if entry.reports:
                self._report_member(entry, "member_removed", channel, member, socket_id, is_final)

    def _report_member(
        self,
        entry: AppEntry,
        name: str,
        channel: ChannelEntry,
        member: Member,
        socket_id: str | None,
        is_final: bool = False,
    ) -> None:
        if name in entry.reports:
            event = webhook_records.member_event(
                name, channel.name, member.id, member.info_json, socket_id, is_final=is_final
            )
            self.report(entry.app.id, event)

    def report(self, app_id: str, event: WebhookEvent) -> None:
        """Hand an event on to the app's webhooks."""
        if self.webhooks is not None:
            self.webhooks.add(app_id, event)

    def _snapshot(self, entry: AppEntry, channel: ChannelEntry, history: HistoryRequest | None) -> ChannelSnapshot:
        cached = entry.cache.get(channel.name) if len(entry.cache) else None
        presence = None if channel.members is None else channel.members.as_json_string()
        if history is None or entry.history_rules.of(channel.name) is None:
            return _NOTHING if presence is None and cached is None else ChannelSnapshot(presence, cached)
        state = self.history.state(entry.app.id, channel.name, history, cached)
        return ChannelSnapshot(presence, cached, state)

    # Events

    def publish(self, node: PeersHandler, app_id: str, event: OutgoingEvent, then: Callable[[bool], None]) -> None:
        """Deliver an event to the other nodes that have subscribers of its channel; ``then`` gets True."""
        entry = self._apps[app_id]
        name, frame, excluded = event.channel, event.frame, event.except_socket_id
        sender: PeersHandler | None = node
        is_kept = False
        if event.id is not None:
            sender = None
            rule = entry.history_rules.of(name)
            if rule is not None:
                frame, is_kept = self.history.add(app_id, rule, event).frame, True
        elif not event.ephemeral and entry.history_rules.of(name) is not None:
            self.history.note_unkept(app_id, name)
        if event.keep:
            entry.cache.put(name, frame, ttl=entry.app.cache_ttl, max_channels=entry.app.max_cached_channels)
        channel = entry.channels.get(name)
        if channel is not None:
            for share in channel.shares:
                if share.node is not sender:
                    share.node.deliver_event(app_id, name, frame, excluded, is_kept)
        then(True)

    def publish_all(self, node: PeersHandler, app_id: str, events: ChannelEvents, then: Callable[[bool], None]) -> None:
        """Deliver several events of a channel to the other nodes that have subscribers; ``then`` gets True."""
        entry = self._apps[app_id]
        name, frames = events.channel, events.frames
        if not events.ephemeral and entry.history_rules.of(name) is not None:
            self.history.note_unkept(app_id, name)
        if events.keep:
            entry.cache.put(name, frames[-1], ttl=entry.app.cache_ttl, max_channels=entry.app.max_cached_channels)
        channel = entry.channels.get(name)
        if channel is not None:
            for share in channel.shares:
                if share.node is not node:
                    share.node.deliver_events(app_id, name, frames, events.except_socket_id)
        then(True)

    def _deliver(self, app_id: str, channel: ChannelEntry, frame: bytes) -> None:
        for share in channel.shares:
            share.node.deliver_event(app_id, channel.name, frame, None)

    def _notify(self, app_id: str, channel: ChannelEntry, notice: MemberNotice) -> None:
        """Tell a channel's subscribers of a member; where members are many, notices are gathered."""
        if channel.members is not None and len(channel.members) > GATHERED_ABOVE:
            for share in channel.shares:
                share.node.deliver_notice(app_id, channel.name, notice)
        else:
            self._deliver(app_id, channel, notice.frame)

    # Signed-in users

    def sign_in(self, node: PeersHandler, app_id: str, user_id: str, info_json: bytes) -> None:
        """Note that a user has its first signed-in connection on a node."""
        self.users.sign_in(node, app_id, user_id, info_json)

    def sign_out(self, node: PeersHandler, app_id: str, user_id: str, linger: float, is_last: bool) -> None:
        """Note that a signed-in connection of a user is gone, perhaps the last one on the node."""
        self.users.sign_out(node, app_id, user_id, linger, is_last)

    def watch(self, node: PeersHandler, app_id: str, user_ids: list[str], then: Callable[[list[str]], None]) -> None:
        """Answer which users are online; from then on the node is told when one of them comes or goes."""
        then(self.users.watch(node, app_id, user_ids))

    def unwatch(self, node: PeersHandler, app_id: str, user_ids: list[str]) -> None:
        """Stop telling a node of users that it watched."""
        self.users.unwatch(node, app_id, user_ids)

    # Subscription counts

    def _count_changed(self, entry: AppEntry, channel: ChannelEntry, reporter: PeersHandler | None) -> None:
        if not kind_of(channel.name).announces_count:
            return
        if channel.count > COUNT_AT_ONCE:
            entry.counts_due.add(channel)
        else:
            self._announce_count(entry, channel, reporter)

    def _announce_count(self, entry: AppEntry, channel: ChannelEntry, reporter: PeersHandler | None) -> None:
        self._deliver(entry.app.id, channel, messages.subscription_count(channel.name, channel.count))
        if reporter is not None:
            reporter.observe(SubscriptionCountChanged(entry.app.id, channel.name, channel.count))
        if "subscription_count" in entry.reports:
            self.report(entry.app.id, webhook_records.subscription_count(channel.name, channel.count))

    def housekeep(self) -> None:
        """Announce counts of large channels, drop expired events, end graces."""
        self.history.housekeep()
        self.graces.end_due()
        self.users.end_due()
        for entry in self._apps.values():
            entry.cache.drop_expired()
            due, entry.counts_due = entry.counts_due, set()
            for channel in due:
                self._announce_count(entry, channel, channel.shares[0].node)

    # Queries

    def answer(self, query: Query, then: Callable[[Any], None]) -> None:
        """Answer a query about all nodes; the query's class says what the answer is."""
        if isinstance(query, ChannelsQuery):
            self._answer_channels(query, then)
        elif isinstance(query, HistoryChannelsQuery):
            parts_in_slices(self.history.channels_of(query.app_id), self._kept_of(query.app_id), then, self._call_soon)
        else:
            then(self._answer(query))

    def _answer_channels(self, query: ChannelsQuery, then: Callable[[bytes], None]) -> None:
        entry = self._apps[query.app_id]

        def make(names: Sequence[str], then: Callable[[bytes], None]) -> None:
            occupied = [name for name in names if name.startswith(query.prefix) and name in entry.channels]
            then(json_members({name: self._attributes(entry, name, query.attributes) for name in occupied}))

        json_in_slices(list(entry.channels), make, then, self._call_soon)

    def _kept_of(self, app_id: str) -> Callable[[Sequence[str], Callable[[bytes], None]], None]:
        def make(names: Sequence[str], then: Callable[[bytes], None]) -> None:
            then(encode([name for name in names if self.history.has_events(app_id, name)]))

        return make

    def _answer(self, query: ChannelQuery | UsersQuery | ConnectionsQuery | HistoryQuery | HistoryDeletion) -> Any:
        entry = self._apps[query.app_id]
        if isinstance(query, HistoryQuery):
            return self.history.page(query)
        if isinstance(query, HistoryDeletion):
            entry.cache.drop(query.channel)
            return self.history.delete(query.app_id, query.channel)
        if isinstance(query, ConnectionsQuery):
            return sum(entry.connections.values())
        if isinstance(query, UsersQuery):
            channel = entry.known_channel(query.channel)
            return [] if channel is None or channel.members is None else channel.members.ids_json
        return [self._attributes(entry, name, query.attributes) for name in query.names]

    def _attributes(self, entry: AppEntry, name: str, asked: list[str]) -> dict[str, Any]:
        channel = entry.known_channel(name)
        last = entry.cache.get(name) if "cache" in asked else None
        has_history = "position" in asked and entry.history_rules.of(name) is not None
        return channel_attributes(
            name,
            asked,
            subscriptions=0 if channel is None else channel.count,
            users=0 if channel is None or channel.members is None else len(channel.members),
            last=last,
            ttl=0 if last is None else entry.cache.seconds_left(name),
            position=self.history.head if has_history else None,
        )

"""The registry of a host that is alone: connections, subscriptions, members and last events, in memory. No I/O.

One registry serves all nodes of the host. With one process it stands beside the node; with several, in the process that
connects them. Presence, counts and occupancy are exact because every change passes through here, one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from soundpost.backplane.history_store import HistoryStore
from soundpost.backplane.memory_channels import AppEntry
from soundpost.backplane.memory_queries import MemoryQueries
from soundpost.backplane.memory_subscriptions import MemorySubscriptions
from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.registry import Load
from soundpost.backplane.signed_in_users import SignedInUsers
from soundpost.backplane.slices import at_once
from soundpost.config.settings import ServerSettings
from soundpost.core.app_settings import AppSettings
from soundpost.core.outbox import CallLater, CallSoon, never
from soundpost.core.peers import Admission, ChannelEvents, OutgoingEvent, PeersHandler
from soundpost.core.webhooks import WebhookEvent, WebhookLog


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
        self.call_soon = call_soon
        self._clock = clock
        self._apps = {app.id: AppEntry(app, clock) for app in apps}
        self.history = history or HistoryStore(ServerSettings().max_history_size)
        for app in self._apps.values():
            self.history.configure(app.app)
        self._nodes: dict[PeersHandler, None] = {}
        self.is_alone = False
        """True while the registry has one node only."""
        self.subscriptions = MemorySubscriptions(
            self._apps, self._nodes, self.history, self.report, clock, call_soon, call_later
        )
        self.join, self.leave = self.subscriptions.join, self.subscriptions.leave
        self.snapshot = self.subscriptions.snapshot
        self.graces = self.subscriptions.graces
        self.answer = MemoryQueries(self._apps, self.history, call_soon).answer
        self.users = SignedInUsers(self._apps, clock, call_soon, call_later, self.report)
        self._max_connections = max_connections
        self._connections = 0
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
        self.is_alone = len(self._nodes) == 1

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
        if address is not None:
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
            if address is not None:
                entry.addresses.remove(node, address)
            self._connections -= 1

    def terminate(self, node: PeersHandler, app_id: str, user_id: str) -> None:
        """Close all connections of a user on the other nodes that have connections of the app; end its graces."""
        self.graces.end_of_user(app_id, user_id)
        self.users.end_of_user(app_id, user_id)
        for other, connections in self._apps[app_id].connections.items():
            if connections and other is not node:
                other.terminate(app_id, user_id)

    def remove_node(self, node: PeersHandler) -> None:
        """Remove a node that is gone, and all it had but members, who have a grace. Another node reports changes.

        Very many subscriptions end over several loop turns.
        """
        self._nodes.pop(node, None)
        self.is_alone = len(self._nodes) == 1
        for entry in self._apps.values():
            self._connections -= entry.connections.pop(node, 0)
            entry.addresses.forget(node)
        self.subscriptions.remove_node(node, then=partial(self.users.remove_node, node))

    def report(self, app_id: str, event: WebhookEvent) -> None:
        """Hand an event on to the app's webhooks."""
        if self.webhooks is not None:
            self.webhooks.add(app_id, event)

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

    def housekeep(self) -> None:
        """Announce counts of large channels, drop expired events, end graces."""
        self.history.housekeep()
        self.graces.end_due()
        self.users.end_due()
        for entry in self._apps.values():
            entry.cache.drop_expired()
        self.subscriptions.announce_due()

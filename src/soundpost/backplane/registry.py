"""The interface of a registry: the state that all nodes of a host share.

:class:`soundpost.backplane.memory_registry.MemoryRegistry` keeps the state of one host in memory,
:class:`soundpost.backplane.redis.registry.RedisRegistry` shares the state of many hosts over Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol

from soundpost.backplane.occupancy import Occupancy
from soundpost.core.app_settings import AppSettings
from soundpost.core.history import HistoryRequest
from soundpost.core.member import Member
from soundpost.core.outbox import CallSoon
from soundpost.core.peers import Admission, ChannelEvents, ChannelSnapshot, OutgoingEvent, PeersHandler, Query
from soundpost.core.webhooks import WebhookEvent, WebhookLog

COUNT_AT_ONCE: Final = 100
"""Largest number of subscribers whose count is announced at each change; above, every few seconds, as Pusher does."""


class Load(NamedTuple):
    """Numbers of connections and channels of an app on this host."""

    connections: int
    channels: int


class Registry(Protocol):
    """Connections, subscriptions, members and last events of all nodes.

    Every method returns at once. A ``then`` callback is called later, or before the method returns. ``node`` is the
    calling node; ``app_id`` must be the id of an app that the registry was given.
    """

    webhooks: WebhookLog | None
    """Log that takes the events for webhooks; None if there are none."""
    on_reachability: Callable[[], None]
    """Called when :attr:`reaches_all` may have changed."""

    @property
    def call_soon(self) -> CallSoon:
        """The function by which the loop does other work between two slices."""

    @property
    def reaches_all(self) -> bool:
        """True if published events reach all hosts; False while they wait for hosts that cannot be reached."""

    @property
    def is_behind(self) -> bool:
        """True if very much that was stated to other hosts is still unanswered."""

    @property
    def is_alone(self) -> bool:
        """True if the registry has one node only, of all hosts."""

    def reconfigure(self, apps: Iterable[AppSettings]) -> None:
        """Take other apps, or other settings. An app that is gone is kept until its connections have left."""

    def load(self) -> dict[str, Load]:
        """Return the load of each app, by app id."""

    def occupancy(self) -> dict[str, Occupancy]:
        """Return the numbers of channels and members of each app on this host, by app id."""

    def kept(self) -> tuple[int, int]:
        """Return the number of events that histories keep in this process, and their bytes."""

    def connections_of(self, node: PeersHandler) -> int:
        """Return the number of a node's connections, of all apps."""

    def add_node(self, node: PeersHandler) -> None:
        """Take a new node of this host."""

    def remove_node(self, node: PeersHandler) -> None:
        """Remove a node that is gone, and all its connections and subscriptions.

        Its members stay for :data:`soundpost.core.presence_grace.RECONNECT_GRACE` seconds.
        """

    def admit(
        self, node: PeersHandler, app_id: str, then: Callable[[Admission], None], address: str | None = None
    ) -> None:
        """Count a connection, unless a limit is reached; see :meth:`soundpost.core.peers.Peers.admit`."""

    def release(self, node: PeersHandler, app_id: str, address: str | None = None) -> None:
        """Stop counting a connection that was admitted with this address."""

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

        ``socket_id`` is the connection's, if a webhook may tell it.
        """

    def snapshot(
        self, app_id: str, name: str, then: Callable[[ChannelSnapshot], None], history: HistoryRequest | None = None
    ) -> None:
        """Read the state that a subscriber of the channel is sent."""

    def leave(
        self,
        node: PeersHandler,
        app_id: str,
        name: str,
        user_id: str | None,
        linger: float = 0,
        socket_id: str | None = None,
    ) -> None:
        """Stop counting a subscription and tell the other subscribers of a member who left.

        The user stays a member for ``linger`` seconds, and has never left if it joins again within them.
        """

    def publish(self, node: PeersHandler, app_id: str, event: OutgoingEvent, then: Callable[[bool], None]) -> None:
        """Deliver an event to all nodes except ``node``, which delivers it itself.

        An event with an id is kept in its channel's history; it is delivered to ``node`` too, with its position.
        ``then`` gets True once the event has its place in the order of all nodes, False if the event waits until other
        hosts can be reached.
        """

    def publish_all(self, node: PeersHandler, app_id: str, events: ChannelEvents, then: Callable[[bool], None]) -> None:
        """Deliver several events of a channel, as :meth:`publish` does each; ``then`` is called once for all."""

    def terminate(self, node: PeersHandler, app_id: str, user_id: str) -> None:
        """Close all connections of a user on the nodes other than ``node``."""

    def sign_in(self, node: PeersHandler, app_id: str, user_id: str, info_json: bytes) -> None:
        """Note that a user has its first signed-in connection on a node; see :meth:`soundpost.core.peers.Peers`."""

    def sign_out(self, node: PeersHandler, app_id: str, user_id: str, linger: float, is_last: bool) -> None:
        """Note that a signed-in connection of a user is gone, perhaps the last one on the node."""

    def watch(self, node: PeersHandler, app_id: str, user_ids: list[str], then: Callable[[list[str]], None]) -> None:
        """Answer which users are online; from then on the node is told when one of them comes or goes."""

    def unwatch(self, node: PeersHandler, app_id: str, user_ids: list[str]) -> None:
        """Stop telling a node of users that it watched."""

    def report(self, app_id: str, event: WebhookEvent) -> None:
        """Hand an event that only a node knows on to the app's webhooks."""

    def answer(self, query: Query, then: Callable[[Any], None]) -> None:
        """Answer a query about all nodes; the query's class says what the answer is."""

    def housekeep(self) -> None:
        """Announce counts of large channels and drop expired entries. Called every few seconds."""

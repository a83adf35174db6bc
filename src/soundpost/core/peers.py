"""The interface between a node and its backplane, in both directions: :class:`Peers` and :class:`PeersHandler`.

A node calls ``Peers`` to reach the other nodes; the backplane calls ``PeersHandler`` to reach a node. The ``backplane``
package implements ``Peers``, :class:`soundpost.core.node.Node` implements ``PeersHandler``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from msgspec import Struct

from soundpost.core.gathered_notices import MemberNotice
from soundpost.core.history import HistoryRequest, HistoryState
from soundpost.core.inspection import Inspectable
from soundpost.core.member import Member
from soundpost.core.observer_events import ObserverEvent
from soundpost.core.webhooks import WebhookEvent

Admission = Literal["admitted", "app_full", "address_full", "server_full"]
"""Answer to a new connection: admitted, or the name of the limit that is reached."""


class ChannelSnapshot(NamedTuple):
    """State of a channel that the server sends to a new subscriber."""

    presence: bytes | None
    """Members, as ``data`` of ``subscription_succeeded`` (a JSON string); None on channels without members."""
    cached: bytes | None
    """Frame of a cache channel's last event; None if there is none."""
    history: HistoryState | None = None
    """Place of the subscriber in the channel's history; None if the subscriber did not ask for one, or the channel
    keeps no history."""


class IdempotencyKey(NamedTuple):
    """Identity of a request to publish, the same when the request is sent again."""

    key: str
    """Key that the sender chose, from the ``Idempotency-Key`` header."""
    digest: str
    """MD5 of the request's body, in hex."""
    repeated: bool = False
    """True if the request may have been sent before, perhaps to another host."""


Reception = Literal["new", "repeated", "different"]
"""State of an idempotency key: new, taken with the same body, or taken with another body."""


class OutgoingEvent(Struct, frozen=True, array_like=True, gc=False):
    """One event, encoded once and ready for every subscriber of its channel."""

    # A Struct, as every publish makes one. Measured: 0.03 µs; 0.2 µs for a NamedTuple.

    channel: str
    frame: bytes
    """WebSocket text frame that subscribers get."""
    except_socket_id: str | None
    """Socket id of the one connection that does not get the event; None if all get it."""
    keep: bool
    """True if the channel is a cache channel, which keeps its last event."""
    id: str | None = None
    """Identity of an event that the channel's history keeps, at most 24 characters; None if it is not kept."""
    repeatable: bool = False
    """True if the event's publisher may publish it again, with the same id, by way of another host."""
    ephemeral: bool = False
    """True if no history keeps the event. An event of a channel with history that is not ephemeral and has no id comes
    from a node that does not know yet that the channel keeps a history."""
    repeated: bool = False
    """True if another host may have published the event before: then a history that hosts share has the event."""
    key_id: str | None = None
    """Id of the key that encrypted the data; None if the publisher names none. An event with a new key id replaces the
    kept events: nobody could decrypt them any more."""


class ChannelEvents(Struct, frozen=True, array_like=True, gc=False):
    """Events of one channel, in order, that no history keeps. The fields are those of :class:`OutgoingEvent`."""

    channel: str
    frames: list[bytes]
    except_socket_id: str | None
    keep: bool
    ephemeral: bool


class ChannelsQuery(Struct, frozen=True, tag="channels"):
    """Query for all occupied channels of an app. Answer: JSON object of channel name to attributes, as bytes.

    The answer is built over several loop turns, as there may be very many channels.
    """

    app_id: str
    prefix: str
    attributes: list[str]


class ChannelQuery(Struct, frozen=True, tag="channel"):
    """Query for some channels by name. Answer: list of their attributes (dicts), in the order of the names."""

    app_id: str
    names: list[str]
    attributes: list[str]


class UsersQuery(Struct, frozen=True, tag="users"):
    """Query for the members of a presence channel. Answer: list of user ids as JSON."""

    app_id: str
    channel: str


class ConnectionsQuery(Struct, frozen=True, tag="connections"):
    """Query for the number of connections of an app. Answer: an integer."""

    app_id: str


class HistoryQuery(Struct, frozen=True, tag="history"):
    """Query for kept events of a channel. Answer: a :class:`soundpost.core.history.HistoryPage`.

    The channel must have history. ``after`` is a position, or empty for all kept events.
    """

    app_id: str
    channel: str
    after: str
    most: int
    """Largest number of events in the page."""
    max_bytes: int
    """Bytes of frames after which the page takes no further event."""
    newest_first: bool = False
    delivered: bool = False
    """True if a subscriber resumes with the page: the page ends behind the last event that this node has received."""


class HistoryChannelsQuery(Struct, frozen=True, tag="history_channels"):
    """Query for the channels of an app that have kept events. Answer: JSON lists of their names, as bytes.

    The answer is None while Redis cannot be reached. Each list is short. The lists are built over several loop turns,
    as there can be very many channels. A name can occur twice.
    """

    app_id: str


class HistoryDeletion(Struct, frozen=True, tag="delete_history"):
    """Order to forget the kept events of a channel, and a cache channel's last event. Answer: the position behind them.

    A client that resumes from an earlier position gets a gap.
    """

    app_id: str
    channel: str


Query = (
    ChannelsQuery | ChannelQuery | UsersQuery | ConnectionsQuery | HistoryQuery | HistoryChannelsQuery | HistoryDeletion
)


class PeersHandler(Inspectable, Protocol):
    """Interface by which the backplane calls one node: for messages from the other nodes to this node.

    The methods return at once. Calls come in the backplane's order of the events behind them.
    """

    @property
    def has_observers(self) -> bool:
        """True if the node wants :meth:`observe` to be called."""

    def deliver_event(
        self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None, kept: bool = False
    ) -> None:
        """Deliver a frame to the channel's subscribers on this node, except one socket.

        The backplane calls the method at most once per event. An event that another node publishes after this node's
        subscription was confirmed is delivered, as long as the nodes can reach each other. ``kept`` is True if the
        channel's history has the event: subscribers that still read the history get it from there.
        """
        # Plain arguments, not an OutgoingEvent: called per node for every event and every member notice.

    def deliver_events(self, app_id: str, channel: str, frames: list[bytes], except_socket_id: str | None) -> None:
        """Deliver several events that no history keeps, as :meth:`deliver_event` delivers each of them."""

    def lose_history(self, app_id: str, channel: str, reason: str, position: str) -> None:
        """Report a gap to the channel's subscribers that can resume. ``position`` is the position behind the gap."""

    def deliver_notice(self, app_id: str, channel: str, notice: MemberNotice) -> None:
        """Deliver a notice of a large presence channel to its subscribers on this node, gathered with further ones."""

    def terminate(self, app_id: str, user_id: str) -> None:
        """Close all connections of a user on this node."""

    def deliver_user_status(self, app_id: str, user_id: str, is_online: bool) -> None:
        """Tell the clients of this node that watch a user that the user has come online or gone offline."""

    def observe(self, event: ObserverEvent) -> None:
        """Hand an event to this node's observers. Exactly one node of all is called for each event."""


class Peers(Protocol):
    """Interface by which one node calls the backplane: for messages from this node to the other nodes.

    Every method returns at once. A ``then`` callback is called later, or before the method returns. Callbacks come in
    the order of the calls.
    """

    @property
    def reaches_all(self) -> bool:
        """True if published events reach all other nodes, as far as this node knows."""

    @property
    def is_behind(self) -> bool:
        """True if very many messages of this node are unanswered. Work that can wait has to wait then."""

    @property
    def is_alone(self) -> bool:
        """True if there are no other nodes. An event for this node's clients need not be published then."""

    def attach(self, node: PeersHandler) -> None:
        """Set the node that gets the messages of other nodes. Called once, before all other methods."""

    def admit(self, app_id: str, then: Callable[[Admission], None], address: str | None = None) -> None:
        """Count a connection of the app, unless all nodes together have reached the limit.

        ``address`` is the client's address if the app limits the connections from one address to a host, else None.
        """

    def release(self, app_id: str, address: str | None = None) -> None:
        """Stop counting a connection that was admitted with this address."""

    def join(
        self,
        app_id: str,
        channel: str,
        newcomer: Member | None,
        then: Callable[[ChannelSnapshot | None], None],
        history: HistoryRequest | None = None,
        socket_id: str | None = None,
    ) -> None:
        """Count a subscription; on a presence channel ``newcomer`` is the user. The answer None means a full channel.

        ``socket_id`` is the connection's, for webhooks; None if no webhook has to name it.

        From the answer on, every event that others publish to the channel is delivered to this node. The snapshot has
        the members, the last event and the place in the history up to that moment.
        """

    def snapshot(
        self,
        app_id: str,
        channel: str,
        then: Callable[[ChannelSnapshot], None],
        history: HistoryRequest | None = None,
    ) -> None:
        """Read the state of a channel as for a new subscriber, without counting a subscription."""

    def leave(
        self, app_id: str, channel: str, user_id: str | None, linger: float = 0, socket_id: str | None = None
    ) -> None:
        """Stop counting a subscription that was counted by :meth:`join`.

        The user stays a member for ``linger`` seconds. A user who joins again within them has never left. ``socket_id``
        is the connection's, for webhooks; None if no webhook has to name it.
        """

    def publish(self, app_id: str, event: OutgoingEvent) -> None:
        """Deliver an event at most once to each present subscriber of its channel, on all nodes.

        An event with an id gets position and order from the backplane, also for clients of this node.

        If B is published after :meth:`after_publishes` called back for A, on any node, every subscriber gets A before
        B. Events of one node to one channel keep their order.
        """

    def publish_once(
        self,
        app_id: str,
        key: IdempotencyKey,
        events: list[OutgoingEvent],
        groups: list[ChannelEvents],
        then: Callable[[Reception], None],
    ) -> None:
        """Publish all events of a request, unless a node of this host has had the same idempotency key before.

        All events are in ``events`` if a history keeps any of them, and in ``groups`` otherwise.
        """

    @property
    def is_settled(self) -> bool:
        """True if all events published so far have their place in the order of all nodes."""

    def after_publishes(self, then: Callable[[], None]) -> None:
        """Call back once all events published so far have their place in the order of all nodes.

        By then each event is on its way to all nodes, or waits until an unreachable node can be reached.
        """

    def terminate(self, app_id: str, user_id: str) -> None:
        """Close all connections of a user on the other nodes."""

    def sign_in(self, app_id: str, user_id: str, info_json: bytes) -> None:
        """Note a user's first signed-in connection on this node. ``info_json`` is the user's info, for webhooks."""

    def sign_out(self, app_id: str, user_id: str, linger: float, is_last: bool) -> None:
        """Note that a signed-in connection of a user is gone; ``is_last`` is True for the last one on this node.

        The user stays online for ``linger`` seconds. A user who signs in again within them has never been offline.
        """

    def watch(self, app_id: str, user_ids: list[str], then: Callable[[list[str]], None]) -> None:
        """Watch users, and answer with those of them who are online on any node.

        From the answer on, :meth:`PeersHandler.deliver_user_status` is called when a user comes online or goes offline.
        """

    def unwatch(self, app_id: str, user_ids: list[str]) -> None:
        """Stop telling this node of users that it watched."""

    def report(self, app_id: str, event: WebhookEvent) -> None:
        """Report an event for the app's webhooks, in order behind all earlier calls of this node."""

    def ask(self, query: Query, then: Callable[[Any], None]) -> None:
        """Answer a query about all nodes together. The docstring of the query's class describes the answer."""

    def flush(self) -> None:
        """Send waiting messages now, before the node begins to write to its own clients, which takes longer."""

    def housekeep(self) -> None:
        """Do periodic work, such as dropping expired entries. Called every few seconds."""

"""What a node tells the other nodes it acts as one with, and asks them. Implemented by the ``backplane`` package."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from msgspec import Struct

from soundpost.core.member import Member

if TYPE_CHECKING:
    from soundpost.core.node import Node


Admission = Literal["admitted", "app_full", "address_full", "server_full"]
"""Whether a connection may open, or who has as many as it may have."""


class ChannelSnapshot(NamedTuple):
    """A subscription that all nodes know of."""

    presence: bytes | None
    """The members, as data of ``subscription_succeeded``; None on channels without."""
    cached: bytes | None
    """The frame of a cache channel's last event."""


class RequestKey(NamedTuple):
    """By what a request to publish is known when it is sent again."""

    key: str
    """What its sender calls it, and nothing else."""
    digest: str
    """Of its body."""


class ReadyEvent(NamedTuple):
    """An event as :meth:`Peers.publish` takes it."""

    channel: str
    frame: bytes
    except_socket_id: str | None
    keep: bool


Reception = Literal["new", "repeated", "different"]
"""Whether a request's key is new, was taken with the same body, or with another one."""


class Change(Struct, frozen=True, tag="change"):
    """What observers are told: the name of their method and its arguments."""

    what: Literal["channel_occupied", "channel_vacated", "member_added", "member_removed", "subscription_count"]
    about: list[Any]


class ChannelsQuery(Struct, frozen=True, tag="channels"):
    """Which channels are occupied? Answer: the JSON of an object with the attributes of each.

    There may be very many: they are collected over several loop turns.
    """

    app_id: str
    prefix: str
    attributes: list[str]


class ChannelQuery(Struct, frozen=True, tag="channel"):
    """What about these channels? Answer: a list of their attributes, those that apply."""

    app_id: str
    names: list[str]
    attributes: list[str]


class UsersQuery(Struct, frozen=True, tag="users"):
    """Who is on a presence channel? Answer: a list of user ids as JSON."""

    app_id: str
    channel: str


class ConnectionsQuery(Struct, frozen=True, tag="connections"):
    """How many connections has the app? Answer: an integer."""

    app_id: str


Query = ChannelsQuery | ChannelQuery | UsersQuery | ConnectionsQuery


class Peers(Protocol):
    """The other nodes. Every method returns at once: sending is the backplane's own affair.

    What is asked with ``then`` is answered later, or before the method returns; always in the order it was asked.
    """

    @property
    def reaches_all(self) -> bool:
        """Whether what is published reaches all nodes there are, as far as is known."""

    def attach(self, node: Node) -> None:
        """Whom to tell what the others say. Called once, before all else."""

    def admit(self, app_id: str, then: Callable[[Admission], None], address: str | None = None) -> None:
        """Count a connection of the app, unless all nodes together have as many as they may have.

        ``address``: where the client is, if the app limits how many connections may come from one address of a host.
        """

    def release(self, app_id: str, address: str | None = None) -> None:
        """A connection that was admitted, with this address, is gone."""

    def join(self, app_id: str, channel: str, newcomer: Member | None, then: Callable[[ChannelSnapshot | None], None]) -> None:
        """Count a subscription, on a presence channel that of a user. None: the channel has no room for the user.

        Once it is answered, what others publish to the channel comes to this node.
        """

    def snapshot(self, app_id: str, channel: str, then: Callable[[ChannelSnapshot], None]) -> None:
        """What a subscriber of ``channel`` is told, without counting it."""

    def leave(self, app_id: str, channel: str, user_id: str | None) -> None:
        """A subscription that was counted is no more."""

    def publish(self, app_id: str, channel: str, frame: bytes, except_socket_id: str | None, keep: bool) -> None:
        """Deliver a ready-made frame to the subscribers of ``channel`` on all nodes, but for one socket.

        ``keep``: it is the last event of a cache channel. What follows another publish, also on another node, after
        that was settled, comes after it everywhere.
        """

    def publish_once(
        self, app_id: str, request: RequestKey, events: list[ReadyEvent], then: Callable[[Reception], None]
    ) -> None:
        """Publish all events of a request, unless any node of this host did so before, or is about to."""

    def settled(self, then: Callable[[], None]) -> None:
        """Call back when all that was asked and published so far has been answered, and is on its way to clients."""

    def terminate(self, app_id: str, user_id: str) -> None:
        """Close the connections of a user on the other nodes."""

    def ask(self, query: Query, then: Callable[[Any], None]) -> None:
        """Ask for what only all nodes together know."""

    def flush(self) -> None:
        """Send what waits: this node is about to write to its own clients, which takes longer."""

    def housekeep(self) -> None:
        """What need not be done at once."""

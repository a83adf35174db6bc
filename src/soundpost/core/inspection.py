"""Questions of operators to nodes, and the nodes' replies: the messages behind the dashboard.

A request goes to every node of every host. Each node replies with a bounded page; the inspector joins the pages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol

from msgspec import Struct, field

MAX_PAGE: Final = 500
"""Largest number of entries of a page, whatever ``limit`` a request has."""


TailWhat = Literal["opened", "closed", "received", "sent", "broadcast", "published", "resumed", "gap", "refused"]
ChannelKind = Literal["", "public", "private", "presence", "encrypted", "cache"]
"""Kind of channels to list; empty for all."""
RefusalKind = Literal["connection", "subscription", "sign-in", "api", "client-event"]


class _Request(Struct, tag=True, frozen=True, kw_only=True):
    app_id: str


class ListChannels(_Request, frozen=True, kw_only=True):
    """Channels with subscribers on a node, by name. Reply: :class:`ChannelPage`."""

    search: str = ""
    """Text that a name must contain. Upper and lower case are the same."""
    kind: ChannelKind = ""
    after: str = ""
    """Name behind which the page begins."""
    limit: int = 50
    """Largest number of channels in the page, at most :data:`MAX_PAGE`."""


class GetChannel(_Request, frozen=True, kw_only=True):
    """One channel. Reply: :class:`ChannelPage` with at most one entry."""

    name: str


class ListConnections(_Request, frozen=True, kw_only=True):
    """Connections of a node, by socket id. Reply: :class:`ConnectionPage`."""

    search: str = ""
    """Text that socket id, user id, address, origin or client must contain. Upper and lower case are the same."""
    channel: str = ""
    """Channel that a connection must be subscribed to."""
    user_id: str = ""
    """User id that a connection must have, by sign-in or as a member of a presence channel."""
    after: str = ""
    """Socket id behind which the page begins."""
    limit: int = 50
    """Largest number of connections in the page, at most :data:`MAX_PAGE`."""


class GetConnection(_Request, frozen=True, kw_only=True):
    """One connection with its channels. Reply: :class:`ConnectionPage` with at most one entry, channels filled in."""

    socket_id: str


class CloseConnection(_Request, frozen=True, kw_only=True):
    """Order to close one connection with 4009. Reply: :class:`Closed`."""

    socket_id: str


class ListRefusals(Struct, tag=True, frozen=True, kw_only=True):
    """Clients and requests that were refused lately, also those that belong to no app. Reply: :class:`RefusalPage`."""

    limit: int = 100


class StartTail(Struct, tag=True, frozen=True, kw_only=True):
    """Order to send tail lines until :class:`StopTail`, or for 30 s after the last :class:`StartTail`."""

    app_id: str
    tail_id: str = ""
    """Name of the tail, chosen by :class:`soundpost.server.inspection.inspector.Inspector`."""
    channel: str = ""
    """Channel, or a pattern with ``*``; empty for all."""
    user_id: str = ""
    socket_id: str = ""


class StopTail(Struct, tag=True, frozen=True, kw_only=True):
    """Order to end a tail."""

    tail_id: str


class ListDeliveries(_Request, frozen=True, kw_only=True):
    """Endpoints of webhooks of an app, with their last deliveries. Reply: :class:`EndpointPage`."""


class SendAgain(_Request, frozen=True, kw_only=True):
    """Order to send the events of a delivery once more. Reply: :class:`SentAgain`."""

    number: int
    """Place of the endpoint in the configuration, from 0."""
    delivery_id: str


Question = ListChannels | GetChannel | ListConnections | GetConnection | CloseConnection | ListRefusals
"""Question that goes to all nodes."""
HostQuestion = ListDeliveries | SendAgain
"""Question that goes to all hosts, whatever nodes they have."""
Request = Question | HostQuestion | StartTail | StopTail


class ChannelLine(Struct, frozen=True):
    """One channel on one node, or joined over all of them."""

    name: str
    subscribers: int
    members: int | None = None
    """Users of a presence channel on all nodes; filled in by the inspector."""
    last_event: str = ""
    """Name of the last event that the subscribers got, without events of the server itself. Long names are cut off."""
    last_event_at: float | None = None
    """Seconds since 1970."""


class ChannelPage(Struct, tag=True, frozen=True):
    """Reply to :class:`ListChannels` and :class:`GetChannel`."""

    channels: list[ChannelLine]
    total: int
    """Channels of the node that match."""
    sample: list[int] = field(default_factory=list)
    """Sample of the names of all matching channels, from which the number of different channels on several nodes is
    estimated; see :mod:`soundpost.core.paging`."""


class ConnectionLine(Struct, frozen=True):
    """One connection."""

    socket_id: str
    since: float
    """Seconds since 1970."""
    address: str = ""
    origin: str = ""
    client: str = ""
    """Library and version that the client named: ``js 8.4.0``."""
    user_id: str | None = None
    channels: int = 0
    waiting_bytes: int = 0
    """Bytes of output that the client has not taken yet."""
    worker: str = ""
    """Host and worker; filled in by whoever asks."""
    channel_names: list[str] = field(default_factory=list)
    """Names of the first 1,000 channels; empty but in the reply to :class:`GetConnection`."""


class ConnectionPage(Struct, tag=True, frozen=True):
    """Reply to :class:`ListConnections` and :class:`GetConnection`."""

    connections: list[ConnectionLine]
    total: int


class Closed(Struct, tag=True, frozen=True):
    """Reply to :class:`CloseConnection`: True if the node had the connection."""

    found: bool


class RefusalLine(Struct, frozen=True):
    """Refusal of a client, subscription, sign-in or request. Equal refusals in a row are one line with a count."""

    at: float
    """Time of the last of the refusals, in seconds since 1970."""
    kind: RefusalKind
    reason: str
    """Sentence that the client or the log got: the reason and the way out."""
    code: int = 0
    """Code of the ``pusher:error`` or close frame, or HTTP status."""
    app_id: str = ""
    address: str = ""
    origin: str = ""
    channel: str = ""
    count: int = 1
    left_out: int = 0
    """Number of later refusals of the same kind, code and app: too many in a second to have lines of their own."""
    worker: str = ""
    """Host and worker; filled in by whoever asks."""


class RefusalPage(Struct, tag=True, frozen=True):
    """Reply to :class:`ListRefusals`, newest first."""

    refusals: list[RefusalLine]


class DeliveryLine(Struct, frozen=True):
    """One request to an endpoint of webhooks, and its answer."""

    id: str
    at: float
    """Time of the request, in seconds since 1970."""
    events: list[str]
    """Names of the events, each once, with their number if there are several: ``member_added × 3``."""
    status: int | None
    """HTTP status of the answer; None if there was none."""
    answer: str
    """Answer of the endpoint, as the end of a sentence that begins with the endpoint's name."""
    seconds: float
    """Time until the answer, or until the server stopped waiting for one."""
    again: bool = False
    """True if an operator had the events sent again."""
    can_be_sent_again: bool = True
    """True while the host keeps the events."""


class EndpointLine(Struct, frozen=True):
    """One endpoint of webhooks, on one host or joined over all of them."""

    number: int
    """Place in the configuration, from 0."""
    url: str
    """Address without the secrets in it."""
    events: list[str]
    channels: list[str]
    waiting: int = 0
    sent: int = 0
    failed: int = 0
    dropped: int = 0
    failed_attempts: int = 0
    last_status: int | None = None
    last_error: str = ""
    stopped: bool = False
    retry_at: float | None = None
    """Seconds since 1970."""
    recent: list[DeliveryLine] = field(default_factory=list)
    """The last deliveries, newest first."""


class EndpointPage(Struct, tag=True, frozen=True):
    """Reply to :class:`ListDeliveries`."""

    endpoints: list[EndpointLine]


class SentAgain(Struct, tag=True, frozen=True):
    """Reply to :class:`SendAgain`: True if the host still had the events."""

    found: bool


class TailLine(Struct, frozen=True):
    """One thing that happened on a node."""

    at: float
    what: TailWhat
    socket_id: str = ""
    channel: str = ""
    event: str = ""
    data: str = ""
    """Data of the event in words, cut off at 2,000 characters."""
    recipients: int | None = None
    detail: str = ""
    worker: str = ""
    """Host and worker; filled in by whoever asks."""


class TailLines(Struct, tag=True, frozen=True):
    """Lines of a tail: a node sends them at most five times a second, and at most 100 at a time."""

    tail_id: str
    lines: list[TailLine]
    left_out: int = 0
    """Number of lines left out, because more happened than a tail shows."""


Reply = ChannelPage | ConnectionPage | Closed | RefusalPage | EndpointPage | SentAgain


class Inspectable(Protocol):
    """Interface of a node to the inspector, which asks on behalf of operators. The methods return at once."""

    def inspect(self, question: Question, then: Callable[[Reply], None]) -> None:
        """Reply to a question, later or before the method returns."""

    def start_tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> None:
        """Begin a tail, or continue the tail with this id for another 30 s."""

    def stop_tail(self, tail_id: str) -> None:
        """End a tail, if it runs."""

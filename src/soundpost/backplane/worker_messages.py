"""Messages from a worker to the hub; :class:`soundpost.backplane.hub_messages.Terminate` is another one."""

from __future__ import annotations

from msgspec import field

from soundpost.backplane.hub_messages import HubMessage, Numbered, Terminate
from soundpost.core.figures import NodeFigures
from soundpost.core.history import HistoryRequest
from soundpost.core.inspection import Reply, TailLines
from soundpost.core.peers import ChannelEvents, IdempotencyKey, OutgoingEvent, Query
from soundpost.core.webhooks import WebhookEvent


class Ready(HubMessage):
    """News that the worker listens; ``capacity`` is the number of sockets it may have open at a time."""

    capacity: int
    has_observers: bool


class Failed(HubMessage):
    """News that the worker could not start."""

    reason: str


class Admit(Numbered):
    """Request to count a connection; see :meth:`soundpost.core.peers.Peers.admit`."""

    app_id: str
    address: str | None = None


class Release(HubMessage):
    """News that an admitted connection is gone."""

    app_id: str
    address: str | None = None


class Join(Numbered):
    """Request to count a subscription; ``user_id`` and ``info`` (JSON) are the member's on presence channels."""

    app_id: str
    channel: str
    user_id: str | int | None
    info: bytes
    history: HistoryRequest | None = None
    socket_id: str | None = None


class GetSnapshot(Numbered):
    """Request for the state that a subscriber of a channel is sent."""

    app_id: str
    channel: str
    history: HistoryRequest | None = None


class Leave(HubMessage):
    """News that a subscription has ended; on presence channels the user stays a member for ``linger`` seconds."""

    app_id: str
    channel: str
    user_id: str | None
    linger: float = 0
    socket_id: str | None = None


class Publish(Numbered):
    """An event for all nodes."""

    app_id: str
    event: OutgoingEvent


class PublishOnce(Numbered):
    """All events of a request, to be published unless its idempotency key was taken before.

    If no history keeps any of them, they are in ``groups``, by channel, and ``events`` is empty.
    """

    app_id: str
    key: IdempotencyKey
    events: list[OutgoingEvent]
    groups: list[ChannelEvents] = field(default_factory=list)


class SignedIn(HubMessage):
    """News of a user's first signed-in connection on the worker; ``info`` is JSON."""

    app_id: str
    user_id: str
    info: bytes


class SignedOut(HubMessage):
    """News that a signed-in connection of a user is gone; the user stays online for ``linger`` seconds."""

    app_id: str
    user_id: str
    linger: float
    is_last: bool
    """True if it was the user's last one on the worker."""


class Watch(Numbered):
    """Question which users are online; :class:`.UserStatus` tells of changes after the answer."""

    app_id: str
    user_ids: list[str]


class Unwatch(HubMessage):
    """News that the worker watches some users no more."""

    app_id: str
    user_ids: list[str]


class Report(HubMessage):
    """An event for the webhooks of an app, which only the worker knows."""

    app_id: str
    event: WebhookEvent


class Ask(Numbered):
    """A query about all nodes."""

    query: Query


class Inspected(Numbered):
    """Reply to :class:`.Inspect`."""

    reply: Reply


class Tailed(HubMessage):
    """Lines of a tail."""

    lines: TailLines


class Pong(HubMessage):
    """Answer to :class:`.Ping`: the worker's loop runs."""


class Figures(HubMessage):
    """Figures of the worker: the answer to :class:`.GetFigures`, and the last message of a worker that ends."""

    figures: NodeFigures


FromWorker = (
    Ready
    | Failed
    | Admit
    | Release
    | Join
    | GetSnapshot
    | Leave
    | Publish
    | PublishOnce
    | SignedIn
    | SignedOut
    | Watch
    | Unwatch
    | Report
    | Ask
    | Inspected
    | Tailed
    | Pong
    | Figures
    | Terminate
)

"""Messages between a worker and the hub, which are processes of one host and of one version."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from soundpost.config.settings import Settings
from soundpost.core.app_settings import AppSettings
from soundpost.core.figures import NodeFigures
from soundpost.core.gathered_notices import MemberNotice
from soundpost.core.history import HistoryRequest, HistoryState
from soundpost.core.inspection import Question, Reply, StartTail, TailLines
from soundpost.core.observer_events import ObserverEvent
from soundpost.core.peers import Admission, ChannelEvents, IdempotencyKey, OutgoingEvent, Query
from soundpost.core.webhooks import WebhookEvent


class _Message(Struct, array_like=True, tag=True):
    pass


class _Numbered(_Message):
    """A question, or the answer with the same number. Answers may come in another order than the questions."""

    number: int


# From the hub


class Configuration(_Message):
    """The first message to a worker: its number, and the settings to serve."""

    number: int
    settings: Settings
    playground: bool
    debug: bool


class Reconfigure(_Message):
    """Order to serve these apps from now on."""

    apps: list[AppSettings]


class Retire(_Message):
    """Order to close all connections after ``delay`` seconds, over ``drain_time`` seconds, and then to end."""

    drain_time: float
    delay: float


class Admitted(_Numbered):
    """Answer to :class:`Admit`."""

    admission: Admission


class Snapshot(_Numbered):
    """Answer to :class:`Join` and :class:`GetSnapshot`; see :class:`soundpost.core.peers.ChannelSnapshot`."""

    presence: bytes | None
    cached: bytes | None
    history: HistoryState | None = None


class ChannelFull(_Numbered):
    """Answer to :class:`Join`: the channel has as many members as it may have."""


class Answer(_Numbered):
    """Answer to :class:`Ask` and :class:`Watch`."""

    value: Any


class Published(_Numbered):
    """Answer to :class:`Publish` and :class:`PublishOnce`: the events have their place in the order of this host.

    The worker's own clients get the events now. ``propagated`` says that the events are on their way to all other nodes
    too; if not, :class:`Propagated` follows.
    """

    propagated: bool


class KnownRequest(_Numbered):
    """Answer to :class:`PublishOnce`: the idempotency key was taken before."""

    reception: Literal["repeated", "different"]


class Propagated(_Numbered):
    """Later answer to :class:`Publish` and :class:`PublishOnce`: the events are on their way to all nodes.

    Events for nodes that cannot be reached wait.
    """


class Reachability(_Message):
    """News whether published events reach all nodes there are."""

    reaches_all: bool


class EventMessage(_Message):
    """An event for the worker's clients, from another worker, another host, or the hub itself."""

    app_id: str
    channel: str
    frame: bytes
    except_socket_id: str | None
    kept: bool = False


class EventsMessage(_Message):
    """Several events of one channel for the worker's clients, which no history keeps."""

    app_id: str
    channel: str
    frames: list[bytes]
    except_socket_id: str | None


class HistoryLost(_Message):
    """News of a gap in a channel's history; see :meth:`soundpost.core.peers.PeersHandler.lose_history`."""

    app_id: str
    channel: str
    reason: str
    position: str


class NoticeMessage(_Message):
    """A notice of a large presence channel for the worker's clients, to be gathered with others."""

    app_id: str
    channel: str
    notice: MemberNotice


class UserStatus(_Message):
    """News that a user whom the worker watches has come online, or has gone."""

    app_id: str
    user_id: str
    is_online: bool


class Observed(_Message):
    """An event for the worker's observers."""

    event: ObserverEvent


class Inspect(_Numbered):
    """A question of operators to the worker; :class:`Inspected` answers it."""

    question: Question


class Tail(_Message):
    """Order to begin a tail, or to keep it going."""

    start: StartTail


class EndTail(_Message):
    """Order to end a tail."""

    tail_id: str


class Ping(_Message):
    """Question whether the worker's loop still runs; :class:`Pong` answers it."""


class GetFigures(_Message):
    """Question for the worker's figures; :class:`Figures` answers it."""


# From a worker


class Ready(_Message):
    """News that the worker listens; ``capacity`` is the number of sockets it may have open at a time."""

    capacity: int
    has_observers: bool


class Failed(_Message):
    """News that the worker could not start."""

    reason: str


class Admit(_Numbered):
    """Request to count a connection; see :meth:`soundpost.core.peers.Peers.admit`."""

    app_id: str
    address: str | None = None


class Release(_Message):
    """News that an admitted connection is gone."""

    app_id: str
    address: str | None = None


class Join(_Numbered):
    """Request to count a subscription; ``user_id`` and ``info`` (JSON) are the member's on presence channels."""

    app_id: str
    channel: str
    user_id: str | int | None
    info: bytes
    history: HistoryRequest | None = None
    socket_id: str | None = None


class GetSnapshot(_Numbered):
    """Request for the state that a subscriber of a channel is sent."""

    app_id: str
    channel: str
    history: HistoryRequest | None = None


class Leave(_Message):
    """News that a subscription has ended; on presence channels the user stays a member for ``linger`` seconds."""

    app_id: str
    channel: str
    user_id: str | None
    linger: float = 0
    socket_id: str | None = None


class Publish(_Numbered):
    """An event for all nodes."""

    app_id: str
    event: OutgoingEvent


class PublishOnce(_Numbered):
    """All events of a request, to be published unless its idempotency key was taken before.

    If no history keeps any of them, they are in ``groups``, by channel, and ``events`` is empty.
    """

    app_id: str
    key: IdempotencyKey
    events: list[OutgoingEvent]
    groups: list[ChannelEvents] = []


class SignedIn(_Message):
    """News of a user's first signed-in connection on the worker; ``info`` is JSON."""

    app_id: str
    user_id: str
    info: bytes


class SignedOut(_Message):
    """News that a signed-in connection of a user is gone; the user stays online for ``linger`` seconds."""

    app_id: str
    user_id: str
    linger: float
    is_last: bool
    """True if it was the user's last one on the worker."""


class Watch(_Numbered):
    """Question which users are online; :class:`UserStatus` tells of changes after the answer."""

    app_id: str
    user_ids: list[str]


class Unwatch(_Message):
    """News that the worker watches some users no more."""

    app_id: str
    user_ids: list[str]


class Report(_Message):
    """An event for the webhooks of an app, which only the worker knows."""

    app_id: str
    event: WebhookEvent


class Ask(_Numbered):
    """A query about all nodes."""

    query: Query


class Inspected(_Numbered):
    """Reply to :class:`Inspect`."""

    reply: Reply


class Tailed(_Message):
    """Lines of a tail."""

    lines: TailLines


class Pong(_Message):
    """Answer to :class:`Ping`: the worker's loop runs."""


class Figures(_Message):
    """Figures of the worker: the answer to :class:`GetFigures`, and the last message of a worker that ends."""

    figures: NodeFigures


# Both ways


class Terminate(_Message):
    """Order to close all connections of a user."""

    app_id: str
    user_id: str


FromHub = (
    Configuration
    | Reconfigure
    | Retire
    | Admitted
    | Snapshot
    | ChannelFull
    | Answer
    | Published
    | KnownRequest
    | Propagated
    | Reachability
    | EventMessage
    | EventsMessage
    | HistoryLost
    | NoticeMessage
    | UserStatus
    | Observed
    | Inspect
    | Tail
    | EndTail
    | Ping
    | GetFigures
    | Terminate
)
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
Message = FromHub | FromWorker

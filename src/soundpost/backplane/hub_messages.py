"""Messages from the hub to a worker, which are processes of one host and of one version."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from soundpost.config.settings import Settings
from soundpost.core.app_settings import AppSettings
from soundpost.core.gathered_notices import MemberNotice
from soundpost.core.history import HistoryState
from soundpost.core.inspection import Question, StartTail
from soundpost.core.observer_events import ObserverEvent
from soundpost.core.peers import Admission


class HubMessage(Struct, array_like=True, tag=True):
    """A message between hub and worker, in either direction."""


class Numbered(HubMessage):
    """A question, or the answer with the same number. Answers may come in another order than the questions."""

    number: int


class Configuration(HubMessage):
    """The first message to a worker: its number, and the settings to serve."""

    number: int
    settings: Settings
    playground: bool
    debug: bool


class Reconfigure(HubMessage):
    """Order to serve these apps from now on."""

    apps: list[AppSettings]


class Retire(HubMessage):
    """Order to close all connections after ``delay`` seconds, over ``drain_time`` seconds, and then to end."""

    drain_time: float
    delay: float


class Admitted(Numbered):
    """Answer to :class:`.Admit`."""

    admission: Admission


class Snapshot(Numbered):
    """Answer to :class:`.Join` and :class:`.GetSnapshot`; see :class:`soundpost.core.peers.ChannelSnapshot`."""

    presence: bytes | None
    cached: bytes | None
    history: HistoryState | None = None


class ChannelFull(Numbered):
    """Answer to :class:`.Join`: the channel has as many members as it may have."""


class Answer(Numbered):
    """Answer to :class:`.Ask` and :class:`.Watch`."""

    value: Any


class Published(Numbered):
    """Answer to :class:`.Publish` and :class:`.PublishOnce`: the events have their place in the order of this host.

    The worker's own clients get the events now. ``propagated`` says that the events are on their way to all other nodes
    too; if not, :class:`Propagated` follows.
    """

    propagated: bool


class KnownRequest(Numbered):
    """Answer to :class:`.PublishOnce`: the idempotency key was taken before."""

    reception: Literal["repeated", "different"]


class Propagated(Numbered):
    """Later answer to :class:`.Publish` and :class:`.PublishOnce`: the events are on their way to all nodes.

    Events for nodes that cannot be reached wait.
    """


class Reachability(HubMessage):
    """News whether published events reach all nodes there are."""

    reaches_all: bool


class EventMessage(HubMessage):
    """An event for the worker's clients, from another worker, another host, or the hub itself."""

    app_id: str
    channel: str
    frame: bytes
    except_socket_id: str | None
    kept: bool = False


class EventsMessage(HubMessage):
    """Several events of one channel for the worker's clients, which no history keeps."""

    app_id: str
    channel: str
    frames: list[bytes]
    except_socket_id: str | None


class HistoryLost(HubMessage):
    """News of a gap in a channel's history; see :meth:`soundpost.core.peers.PeersHandler.lose_history`."""

    app_id: str
    channel: str
    reason: str
    position: str


class NoticeMessage(HubMessage):
    """A notice of a large presence channel for the worker's clients, to be gathered with others."""

    app_id: str
    channel: str
    notice: MemberNotice


class UserStatus(HubMessage):
    """News that a user whom the worker watches has come online, or has gone."""

    app_id: str
    user_id: str
    is_online: bool


class Observed(HubMessage):
    """An event for the worker's observers."""

    event: ObserverEvent


class Inspect(Numbered):
    """A question of operators to the worker; :class:`.Inspected` answers it."""

    question: Question


class Tail(HubMessage):
    """Order to begin a tail, or to keep it going."""

    start: StartTail


class EndTail(HubMessage):
    """Order to end a tail."""

    tail_id: str


class Ping(HubMessage):
    """Question whether the worker's loop still runs; :class:`.Pong` answers it."""


class GetFigures(HubMessage):
    """Question for the worker's figures; :class:`.Figures` answers it."""


class Terminate(HubMessage):
    """Order to close all connections of a user; workers give it to the hub too."""

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

"""One client's connection: user, subscriptions, and the interface to the transport."""

from __future__ import annotations

import os
from abc import ABCMeta, abstractmethod
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from soundpost.compilation import mypyc_attr
from soundpost.core import presence_grace
from soundpost.core.client_info import UNKNOWN
from soundpost.core.figures import count
from soundpost.wire import messages

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.core.channel import Channel
    from soundpost.core.pending_subscriptions import PendingSubscriptions
    from soundpost.core.resumption import ReadingHistory
    from soundpost.core.token_bucket import TokenBucket


_NUMBERS: Final = Struct("<256I")


class SocketIds:
    """Socket ids for the connections of a node: unguessable, as channel signatures are bound to a socket id.

    The kernel is asked for the random numbers of many ids at a time. A node never moves to another process.
    """

    def __init__(self) -> None:
        self._numbers: list[int] = []

    def new(self) -> str:
        """Return two random numbers joined by a dot."""
        numbers = self._numbers
        if not numbers:
            numbers += _NUMBERS.unpack(os.urandom(_NUMBERS.size))
        return f"{numbers.pop()}.{numbers.pop()}"


class User(NamedTuple):
    """A user who has signed in on a connection."""

    id: str
    info_json: bytes
    """The ``user_info`` of the sign-in, as JSON."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Connection(metaclass=ABCMeta):  # not ABC, a base in Python: compiled objects would have a ``__dict__``
    """One client. A subclass adds the transport.

    The memory of an idle connection decides how many fit a machine: slots only, and no attribute without need.
    """

    __slots__ = (
        "app",
        "channels",
        "client",
        "client_event_bucket",
        "former_ids",
        "junk_bucket",
        "message_bucket",
        "pending_subscriptions",
        "reading",
        "since",
        "socket_id",
        "subscription_bucket",
        "takes_compressed",
        "user",
    )

    def __init__(self, app: App) -> None:
        self.app = app
        self.socket_id = app.node.socket_ids.new()
        self.since = 0
        """Time when the client got its hello, in seconds since 1970; connections of one second share the object."""
        self.client = UNKNOWN
        """Library and origin that the client named, in an object that connections share."""
        self.takes_compressed = False
        """True if the client takes compressed frames, as negotiated."""
        self.channels: list[Channel] = []
        self.pending_subscriptions: PendingSubscriptions | None = None
        """Subscriptions that the backplane has not confirmed yet; None if there are none."""
        self.former_ids: tuple[str, ...] = ()
        """Earlier socket ids of the client that it named after a reconnect."""
        self.reading: ReadingHistory | None = None
        """Histories that the client reads; None if the client reads none and has used no allowance of replays."""
        self.user: User | None = None
        """The signed-in user; None before a sign-in."""
        self.client_event_bucket: TokenBucket | None = None
        self.junk_bucket: TokenBucket | None = None
        self.message_bucket: TokenBucket | None = None
        self.subscription_bucket: TokenBucket | None = None
        """Limit of subscriptions; None until the client leaves a channel or subscribes to one a second time."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Write whole frames. Must not call back into the core before returning, and never raise."""

    @abstractmethod
    def close(self, code: int, reason: str) -> None:
        """Send a close frame and close. The transport calls ``Node.closed`` in a later loop turn, not before."""

    @property
    def address(self) -> str:
        """The client's address, as far as known; empty on a Unix socket."""
        return ""

    @property
    def waiting_bytes(self) -> int:
        """The number of bytes of output that the client has not taken yet."""
        return 0

    @property
    def is_open(self) -> bool:
        """True if the client may still act; False from the moment the transport is closed."""
        return True

    @property
    def has_room(self) -> bool:
        """True if no output waits for the client.

        Once the output that waits has left, the transport calls :func:`soundpost.core.resumption.read_on` if
        :attr:`reading` is set.
        """
        return True

    def note_client_events(self) -> None:  # noqa: B027 - a transport may do without
        """Prepare for more client events: the client has sent its first one."""

    def send(self, frame: bytes) -> None:
        """Write a frame to this connection alone."""
        for observer in self.app.node.observers:
            observer.message_sent(self, frame)
        self.write(frame)

    def send_error(self, code: int, message: str) -> None:
        """Send a ``pusher:error`` with a code and a message."""
        count(self.app.figures.errors, code)
        self.send(messages.error(code, message))

    def end(self, code: int, message: str) -> None:
        """Send a ``pusher:error``, then close with the same code, which newer clients read instead of the error."""
        self.send_error(code, message)
        presence_grace.note_close(self, code)
        self.close(code, message)

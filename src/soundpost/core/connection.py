"""A connection as the core sees it: who it is, what it is subscribed to, and how to write to it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from soundpost.wire import messages

if TYPE_CHECKING:
    from soundpost.core.app import App
    from soundpost.core.channel import Channel
    from soundpost.core.pending_subscriptions import PendingSubscriptions
    from soundpost.core.token_bucket import TokenBucket


def new_socket_id() -> str:
    """Two random numbers joined by a dot; unguessable, as a channel signature is bound to it."""
    random = int.from_bytes(os.urandom(8), "little")
    return f"{random & 0xFFFFFFFF}.{random >> 32}"


class User(NamedTuple):
    """Who signed in on a connection."""

    id: str
    info_json: bytes
    """``user_info`` as JSON."""


class Connection(ABC):
    """One client. The server's subclass adds the socket; a test's, a list.

    Memory per idle connection decides how many fit a machine: slots only, and nothing that is not needed.
    """

    __slots__ = (
        "app",
        "channels",
        "client_event_bucket",
        "junk_bucket",
        "message_bucket",
        "pending_subscriptions",
        "socket_id",
        "subscription_bucket",
        "takes_compressed",
        "user",
    )

    def __init__(self, app: App) -> None:
        self.app = app
        self.socket_id = new_socket_id()
        self.takes_compressed = False
        """Whether frames may be compressed, as negotiated."""
        self.channels: list[Channel] = []
        self.pending_subscriptions: PendingSubscriptions | None = None
        """Subscriptions that the backplane has not confirmed yet; None if there are none."""
        self.user: User | None = None
        """Who signed in on this connection."""
        self.client_event_bucket: TokenBucket | None = None
        self.junk_bucket: TokenBucket | None = None
        self.message_bucket: TokenBucket | None = None
        self.subscription_bucket: TokenBucket | None = None
        """None while it has never left a channel, nor asked for one again."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Write whole frames. Must not call back into the core before it returns, and never raise."""

    @abstractmethod
    def close(self, code: int, reason: str) -> None:
        """Close with a close frame. The node is told by ``Node.closed`` in a later loop turn, not before."""

    @property
    def address(self) -> str:
        """Where the client is, as far as can be known; empty on a Unix socket."""
        return ""

    @property
    def is_open(self) -> bool:
        """Whether it may still act: a transport says no from the moment it is closed."""
        return True

    def send(self, frame: bytes) -> None:
        """Write a frame that goes to this connection alone."""
        for observer in self.app.node.observers:
            observer.message_sent(self, frame)
        self.write(frame)

    def end(self, code: int, message: str) -> None:
        """Say why in a ``pusher:error``, then close with the same code: old clients read one, new ones the other."""
        self.send(messages.error(code, message))
        self.close(code, message)

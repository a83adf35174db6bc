"""Subscriptions on their way: a client asked, and the other nodes are being told.

What the client sends meanwhile waits, but for further subscriptions, so that it is answered in the order it asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from soundpost.core import error_replies
from soundpost.wire import codes

if TYPE_CHECKING:
    from soundpost.core.channel import Channel
    from soundpost.core.connection import Connection

MAX_WAITING: Final = 1_000
"""Messages of one client that may wait."""
AT_ONCE: Final = 8
"""Messages of one client that are acted on in a turn of the loop when they may."""


class Joining:
    """One subscription, until the backplane has answered."""

    __slots__ = ("abandoned", "channel", "connection", "user_id")

    def __init__(self, connection: Connection, channel: Channel, user_id: str | None) -> None:
        self.connection = connection
        self.channel = channel
        self.user_id = user_id
        self.abandoned = False
        """The client is gone."""
        if channel.joining is None:
            channel.joining = {}
        channel.joining[connection] = self
        if user_id is not None:
            channel.app.enter(connection, user_id)
        if connection.unsettled is None:
            connection.unsettled = Unsettled()
        connection.unsettled.joining[channel.name] = self

    def end(self) -> None:
        """The backplane has answered."""
        joining = self.channel.joining
        assert joining is not None
        del joining[self.connection]
        if self.user_id is not None:
            self.channel.app.leave(self.connection, self.user_id)
        if not joining:
            self.channel.joining = None
        unsettled = self.connection.unsettled
        if unsettled is not None:
            del unsettled.joining[self.channel.name]


class Unsettled:
    """All subscriptions of one client that are on their way, and what waits for them."""

    __slots__ = ("joining", "waiting")

    def __init__(self) -> None:
        self.joining: dict[str, Joining] = {}
        """By channel name."""
        self.waiting: list[Callable[[], None]] = []

    def wait(self, connection: Connection, action: Callable[[], None]) -> None:
        """Do something for a client once all is settled."""
        if len(self.waiting) < MAX_WAITING:
            self.waiting.append(action)
        else:
            connection.end(codes.OVER_CAPACITY, "Too fast: your subscriptions are not settled yet")


def go_on(connection: Connection) -> None:
    """If nothing is on its way any more, do what waited for that, a few messages in each turn of the loop."""
    unsettled = connection.unsettled
    if unsettled is None or unsettled.joining:
        return
    connection.unsettled = None
    for number, action in enumerate(unsettled.waiting):
        if not connection.is_open:  # one of them ended it
            return
        if number == AT_ONCE and connection.unsettled is None:
            # Others have their turn; what comes meanwhile waits behind the rest.
            connection.unsettled = Unsettled()
            connection.app.node.call_soon(partial(go_on, connection))
        if connection.unsettled is not None:  # it has subscribed once more: the rest waits for that
            connection.unsettled.waiting.extend(unsettled.waiting[number:])
            return
        error_replies.attempt(connection, action)

"""Subscription of a program to one channel."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from soundpost.client.arguments import check_seconds
from soundpost.client.incoming import ReceivedEvent
from soundpost.client.members import Member
from soundpost.client.names import text
from soundpost.errors import SubscriptionError

if TYPE_CHECKING:
    from soundpost.client.channel import Channel
    from soundpost.client.session import Session


class Subscription:
    """One channel of a client, from ``Client.subscribe``: await the server's acceptance, iterate over the events.

    Awaiting gives the subscription itself. Awaiting and iterating raise SubscriptionError when the server or the
    application refuses, ConnectionRefused when the server refuses further connections. An iteration ends when the
    channel is unsubscribed or the client closed. Several readers of one channel share its events. After a reconnection
    the channel is subscribed to again. If the server keeps a history of the channel, the missed events come then, and a
    :class:`Gap` where some are not kept any more. Without a history they are missing. A subscription with
    ``subscription_events=True`` gives an event ``pusher:subscription_succeeded`` after every reconnection.
    """

    def __init__(self, channel: Channel, session: Session) -> None:
        self._channel = channel
        self._session = session

    @property
    def channel(self) -> str:
        """The name of the channel."""
        return self._channel.name

    @property
    def members(self) -> dict[str, Any]:
        """The members of a presence channel, user info by user id, in one dictionary that is kept up to date."""
        return self._channel.members.by_id

    @property
    def me(self) -> Member | None:
        """The member that this client is on a presence channel; None until the server has reported it."""
        return self._channel.members.me

    @property
    def is_subscribed(self) -> bool:
        """True if the server has accepted the subscription on the current connection."""
        return self._channel.subscribed

    @property
    def position(self) -> str | None:
        """The position of the event that this channel's reader was given last, for ``subscribe(…, after=…)``.

        Before the first event it is where the events begin. None if the server keeps no history of the channel.
        """
        return self._channel.position

    @property
    def missed(self) -> int:
        """Number of events that were dropped as the reader of this channel was more than 1,000 behind.

        Events that the server keeps are not dropped: they come when the reader has caught up.
        """
        return self._channel.own_events.missed if self._channel.own_events else 0

    async def next(self, timeout: float | None = None) -> ReceivedEvent:  # noqa: ASYNC109 - as queue.Queue.get
        """Return the next event. Raises TimeoutError after ``timeout`` seconds, SubscriptionError after the last."""
        if timeout is not None:
            check_seconds(timeout, "timeout")
        try:
            async with asyncio.timeout(timeout) as limit:
                event = await self._channel.claim().get()
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeoutError(f"no event of {self.channel} came within {timeout:g} s") from None
        if event is None:
            ended = f"{self.channel} has no more events: it was unsubscribed, or the client was closed"
            raise SubscriptionError(self.channel, 0, ended, status=0)
        return event

    async def trigger(self, event: str, data: Any = None) -> None:
        """Send a client event to the channel's other subscribers; ``client-`` is put before its name if missing.

        ``data`` is any JSON value. Raises PayloadError for another value, ProtocolError on public and encrypted
        channels, which take no client events, and RequestError while not subscribed: the event is not kept for later.
        The refusal of a server (of too many in a second, say) is an event ``pusher:error`` of the client.
        """
        await self._session.trigger(self._channel, text(event, "an event's name"), data)

    async def unsubscribe(self) -> None:
        """Unsubscribe from the channel."""
        await self._session.unsubscribe(self._channel)

    def __await__(self) -> Generator[Any, None, Subscription]:
        return self._accepted().__await__()

    def __aiter__(self) -> Subscription:
        self._channel.claim()
        return self

    async def __anext__(self) -> ReceivedEvent:
        event = await self._channel.claim().get()
        if event is None:
            raise StopAsyncIteration
        return event

    async def _accepted(self) -> Subscription:
        await self._channel.wait_for_answer()
        return self

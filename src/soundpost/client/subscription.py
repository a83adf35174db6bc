"""A channel, as a program has it in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from soundpost.client.incoming import Event
from soundpost.client.members import Member
from soundpost.client.names import text
from soundpost.errors import SubscriptionError

if TYPE_CHECKING:
    from soundpost.client.channel import Channel
    from soundpost.client.session import Session


class Subscription:
    """One channel of a client, from ``Client.subscribe``. Await it for the server's yes; iterate over its events.

    Awaiting gives the subscription itself. Awaiting and iterating raise SubscriptionError when the server or the
    application refuses, ConnectionRefused when the server sends the client away; an iteration ends when the channel is
    left or the client closed. Several readers of one channel share its events. After a reconnection the channel is
    subscribed to again, which is a ``pusher:subscription_succeeded`` event: what was published meanwhile is missing.
    """

    def __init__(self, channel: Channel, session: Session) -> None:
        self._channel = channel
        self._session = session

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._channel.name

    @property
    def members(self) -> dict[str, Any]:
        """Who is present, user info by user id; empty on other channels. The same dictionary is kept up to date."""
        return self._channel.members.by_id

    @property
    def me(self) -> Member | None:
        """Who we are on a presence channel."""
        return self._channel.members.me

    @property
    def is_subscribed(self) -> bool:
        """Whether the server has said yes on the connection there is now."""
        return self._channel.subscribed

    @property
    def missed(self) -> int:
        """Events that were dropped since this channel's reader was more than 1,000 behind."""
        return self._channel.own_events.missed if self._channel.own_events else 0

    async def next(self, timeout: float | None = None) -> Event:  # noqa: ASYNC109 - as queue.Queue.get
        """The next event. Raises TimeoutError after ``timeout`` seconds, SubscriptionError when there will be none."""
        try:
            async with asyncio.timeout(timeout) as limit:
                event = await self._channel.claim().get()
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeoutError(f"no event of {self.channel} came within {timeout:g} s") from None
        if event is None:
            raise SubscriptionError(
                self.channel, 0, f"{self.channel} has no more events: it was left, or the client closed", status=0
            )
        return event

    async def trigger(self, event: str, data: Any = None) -> None:
        """Send a client event to the channel's other subscribers; ``client-`` is put before its name if missing.

        ``data`` is any JSON value. Raises ProtocolError on channels that take none (public, encrypted), RequestError
        when we are not subscribed at the moment: it is not kept for later. A server that refuses it (too many in a
        second, say) answers with a ``pusher:error`` event of the client.
        """
        await self._session.trigger(self._channel, text(event, "an event's name"), data)

    async def unsubscribe(self) -> None:
        """Leave the channel."""
        await self._session.unsubscribe(self._channel)

    def __await__(self) -> Generator[Any, None, Subscription]:
        return self._accepted().__await__()

    def __aiter__(self) -> Subscription:
        self._channel.claim()
        return self

    async def __anext__(self) -> Event:
        event = await self._channel.claim().get()
        if event is None:
            raise StopAsyncIteration
        return event

    async def _accepted(self) -> Subscription:
        await self._channel.answered()
        return self

"""A channel of a client: its subscription, its members and its events that wait."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from soundpost.client.authorization import Authorize, ChannelAuth
from soundpost.client.encrypted_events import EncryptedEvents
from soundpost.client.encryption import secret_of
from soundpost.client.event_queue import EventQueue
from soundpost.client.incoming import INTERNAL, Frame
from soundpost.client.members import Members
from soundpost.errors import ConfigurationError
from soundpost.wire.channel_names import kind_of


class Channel:
    """A channel; ``unclaimed`` takes its events until the program reads the channel by itself."""

    def __init__(self, name: str, auth: Authorize | None, unclaimed: EventQueue) -> None:
        self.name = name
        self.kind = kind_of(name)
        self.members = Members()
        self.subscribed = False
        """True while the channel is subscribed to on the current socket."""
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """A future that is done when the server first accepts or refuses the subscription."""
        self.gives_subscription_events = False
        """True if readers also get ``pusher:subscription_succeeded`` and ``pusher:subscription_count``."""
        self.subscribing: asyncio.Task[None] | None = None
        self.own_events: EventQueue | None = None
        self._unclaimed = unclaimed
        self._auth = auth
        self._waiters = 0
        self._ended = False
        self._error: BaseException | None = None
        self._encrypted: EncryptedEvents | None = None
        self._socket_id = ""

    async def authorization(self, socket_id: str) -> ChannelAuth | None:
        """Return the authorization for a socket. Raises the exceptions of the authorizer."""
        auth = self._auth(socket_id, self.name) if self._auth else None
        return await auth if inspect.isawaitable(auth) else auth

    def decrypt_with(self, shared_secret: str, socket_id: str) -> None:
        """Decrypt later events with a shared secret in base64. Raises ConfigurationError."""
        secret = secret_of(shared_secret)
        self._socket_id = socket_id
        if self._encrypted is None:
            self._encrypted = EncryptedEvents(self.name, secret, self._new_secret, self._put)
        self._encrypted.secret = secret

    async def wait_for_answer(self) -> None:
        """Wait for the first answer to the subscription. Raises SubscriptionError, or the authorizer's exception."""
        self._waiters += 1
        try:
            await asyncio.shield(self.answer)
        finally:
            self._waiters -= 1

    def claim(self) -> EventQueue:
        """Return the queue of this channel alone, and move its waiting and later events to that queue."""
        if self.own_events is None:
            self.own_events = EventQueue(self.name)
            self._unclaimed.move(self.name, self.own_events)
            if self._ended:
                self.own_events.end(self._error)
        return self.own_events

    async def accept(self, frame: Frame) -> None:
        """Take the server's acceptance, which is an event if the subscription is renewed and readers want to know."""
        self.subscribed = True
        if self.kind.is_presence:
            self.members.replace(frame.content())
        if not self.answer.done():
            self.answer.set_result(None)
        elif self.gives_subscription_events:
            await self._put(frame)

    async def receive(self, frame: Frame) -> None:
        """Take an event."""
        if frame.event == f"{INTERNAL}member_added":
            self.members.add(frame.content())
        elif frame.event == f"{INTERNAL}member_removed":
            self.members.remove(frame.content())
        elif frame.event == f"{INTERNAL}subscription_count" and not self.gives_subscription_events:
            return
        if self._encrypted is None or frame.is_protocol:
            await self._put(frame)
        else:
            await self._encrypted.receive(frame)

    def end(self, error: BaseException | None, if_waiting: BaseException) -> bool:
        """End the channel, with an error for its readers or None; return False if the channel has no reader.

        A caller that waits for the first answer gets ``if_waiting`` raised.
        """
        self._ended = True
        self._error = error
        self.subscribed = False
        if self.subscribing is not None and self.subscribing is not asyncio.current_task():
            self.subscribing.cancel()
        if not self.answer.done():
            self.answer.set_exception(if_waiting)
            self.answer.exception()  # marked as retrieved: it may never be awaited
        if self._encrypted is not None:
            self._encrypted.end()
        if self.own_events is not None:
            self.own_events.end(error)
        return self.own_events is not None or self._waiters > 0

    async def _new_secret(self) -> bytes:
        auth = await self.authorization(self._socket_id)
        if auth is None or auth.shared_secret is None:
            raise ConfigurationError("the authorization has none")
        return secret_of(auth.shared_secret)

    async def _put(self, frame: Frame) -> None:
        await (self.own_events or self._unclaimed).put(frame.to_event())


def request_of(channel: Channel, auth: ChannelAuth | None) -> dict[str, Any]:
    """Return the data of a ``pusher:subscribe``."""
    data = {"channel": channel.name}
    if auth is not None:
        data["auth"] = auth.auth
        if auth.channel_data is not None:
            data["channel_data"] = auth.channel_data
    return data

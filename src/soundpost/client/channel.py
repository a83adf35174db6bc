"""What a client knows of one channel: whether it is subscribed, who is present, which events wait."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from soundpost.client.authorization import Authorize, ChannelAuth
from soundpost.client.encryption import secret_of
from soundpost.client.event_queue import EventQueue
from soundpost.client.incoming import INTERNAL, Frame
from soundpost.client.members import Members
from soundpost.client.sealed_events import SealedEvents
from soundpost.errors import ConfigurationError
from soundpost.wire.channel_names import kind_of


class Channel:
    """One channel. ``unclaimed`` takes its events until somebody reads it by itself."""

    def __init__(self, name: str, auth: Authorize | None, unclaimed: EventQueue) -> None:
        self.name = name
        self.kind = kind_of(name)
        self.members = Members()
        self.subscribed = False
        """On the socket there is now."""
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the server has accepted or refused the subscription for the first time."""
        self.joining: asyncio.Task[None] | None = None
        self.own_events: EventQueue | None = None
        self._unclaimed = unclaimed
        self._auth = auth
        self._waiters = 0
        self._ended = False
        self._error: BaseException | None = None
        self._sealed: SealedEvents | None = None
        self._socket_id = ""

    async def authorization(self, socket_id: str) -> ChannelAuth | None:
        """What the authorizer says, with whatever it raises."""
        auth = self._auth(socket_id, self.name) if self._auth else None
        return await auth if inspect.isawaitable(auth) else auth

    def open_with(self, shared_secret: str, socket_id: str) -> None:
        """Decrypt events from now on. Raises ConfigurationError."""
        secret = secret_of(shared_secret)
        self._socket_id = socket_id
        if self._sealed is None:
            self._sealed = SealedEvents(self.name, secret, self._new_secret, self._put)
        self._sealed.secret = secret

    async def answered(self) -> None:
        """Wait for the answer to the subscription. Raises SubscriptionError, or what the authorizer raised."""
        self._waiters += 1
        try:
            await asyncio.shield(self.answer)
        finally:
            self._waiters -= 1

    def claim(self) -> EventQueue:
        """The queue of this channel alone; its events come here from now on, those that wait already included."""
        if self.own_events is None:
            self.own_events = EventQueue(self.name)
            self._unclaimed.move(self.name, self.own_events)
            if self._ended:
                self.own_events.end(self._error)
        return self.own_events

    async def accept(self, frame: Frame) -> None:
        """The server accepted the subscription; when it was renewed, that is an event."""
        self.subscribed = True
        if self.kind.is_presence:
            self.members.replace(frame.content())
        if self.answer.done():
            await self._put(frame)
        else:
            self.answer.set_result(None)

    async def receive(self, frame: Frame) -> None:
        """Take an event."""
        if frame.event == f"{INTERNAL}member_added":
            self.members.add(frame.content())
        elif frame.event == f"{INTERNAL}member_removed":
            self.members.remove(frame.content())
        if self._sealed is None or frame.is_protocol:
            await self._put(frame)
        else:
            await self._sealed.receive(frame)

    def end(self, error: BaseException | None, if_waiting: BaseException) -> bool:
        """It is over: cleanly, or with an error, which is raised by whoever reads; False where nobody does.

        Whoever waits for the first answer gets ``if_waiting``.
        """
        self._ended = True
        self._error = error
        self.subscribed = False
        if self.joining is not None and self.joining is not asyncio.current_task():
            self.joining.cancel()
        if not self.answer.done():
            self.answer.set_exception(if_waiting)
            self.answer.exception()  # who awaits it later gets it; who does not, is told otherwise
        if self._sealed is not None:
            self._sealed.end()
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
    """The data of ``pusher:subscribe``."""
    data = {"channel": channel.name}
    if auth is not None:
        data["auth"] = auth.auth
        if auth.channel_data is not None:
            data["channel_data"] = auth.channel_data
    return data

"""A channel of a client: its subscription, its members and its events that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from soundpost.client.authorization import Authorize, ChannelAuth, result_of
from soundpost.client.encrypted_events import EncryptedEvents
from soundpost.client.encryption import secret_of
from soundpost.client.event_queue import EventQueue
from soundpost.client.gap import Gap
from soundpost.client.incoming import GAP, INTERNAL, Frame, ReceivedEvent
from soundpost.client.members import Members
from soundpost.client.resumption import Resumption, ResumptionStep
from soundpost.client.start_position import StartPosition
from soundpost.errors import ConfigurationError
from soundpost.wire.channel_names import kind_of

_CATCH_UP_INTERVAL: Final = 7.0
"""Seconds between two requests for missed events on one socket, since servers limit replays."""


class Channel:
    """A channel; ``unclaimed`` takes its events until the program reads the channel by itself.

    ``renew`` is called to have the channel subscribed to once more on the same socket, after :attr:`resumption`.
    """

    def __init__(
        self,
        name: str,
        auth: Authorize | None,
        unclaimed: EventQueue,
        renew: Callable[[Channel], None],
        start_position: StartPosition,
    ) -> None:
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
        self.start_position = start_position
        self.resumption = Resumption(start_position.after, start_position.rewind)
        self.position = None if start_position.after is None else str(start_position.after)
        """Position of the last event that the reader got; before the first event, the position that it reads after."""
        self._is_behind = False
        """True after events were left out of a full queue, until the server has sent them again."""
        self._caught_up_at = -_CATCH_UP_INTERVAL
        self._unclaimed = unclaimed
        self._renew = renew
        self._auth = auth
        self._waiters = 0
        self._ended = False
        self._error: BaseException | None = None
        self._encrypted: EncryptedEvents | None = None
        self._socket_id = ""

    async def authorization(self, socket_id: str) -> ChannelAuth | None:
        """Return the authorization for a socket. Raises the exceptions of the authorizer."""
        authorize = self._auth
        if authorize is None:
            return None
        auth = await result_of(lambda: authorize(socket_id, self.name), f"the authorizer of {self.name}")
        if auth is not None and not isinstance(auth, ChannelAuth):
            raise ConfigurationError(
                f"the authorizer of {self.name} returned a {type(auth).__name__}: a ChannelAuth or None is expected"
            )
        return auth

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
        """Return a queue for this channel alone; its waiting and later events move there."""
        if self.own_events is None:
            self.own_events = EventQueue(self.name)
            self._unclaimed.move(self.name, self.own_events)
            if self._ended:
                self.own_events.end(self._error)
            elif self._is_behind:
                self.own_events.when_half_empty(self._catch_up)
        return self.own_events

    async def accept(self, frame: Frame) -> None:
        """Take the server's acceptance, which is an event if the subscription is renewed and readers want to know."""
        is_catching_up, self._is_behind = self.subscribed and self._is_behind, False
        self.subscribed = True
        if self.kind.is_presence:
            self.members.replace(frame.content())
        if self._encrypted is not None and self.resumption.has_history:
            self._encrypted.forget()  # the server sends them again
        if not self.answer.done():
            self.answer.set_result(None)
        elif self.gives_subscription_events and not is_catching_up:
            await self._add(frame.to_event())
        await self._apply(self.resumption.accepted(frame), frame)
        if self.position is None and self.resumption.position is not None:
            self.position = str(self.resumption.position)

    async def receive(self, frame: Frame) -> None:
        """Handle an event of the channel."""
        if frame.event == f"{INTERNAL}member_added":
            self.members.add(frame.content())
        elif frame.event == f"{INTERNAL}member_removed":
            self.members.remove(frame.content())
        elif frame.event == f"{INTERNAL}subscription_count" and not self.gives_subscription_events:
            return
        if self._encrypted is None or frame.is_protocol:
            await self._put(frame)
        elif frame.event == GAP or not self.resumption.was_received(frame.parsed_position):
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
            self._encrypted.forget()
        if self.own_events is not None:
            self.own_events.end(error)
        return self.own_events is not None or self._waiters > 0

    async def _new_secret(self) -> bytes:
        auth = await self.authorization(self._socket_id)
        if auth is None or auth.shared_secret is None:
            raise ConfigurationError("the authorization has none")
        return secret_of(auth.shared_secret)

    async def _put(self, frame: Frame) -> None:
        if not self.resumption.applies_to(frame):
            await self._add(frame.to_event())
        elif self.subscribed and not self._is_behind:  # else it is sent again, or is of an earlier subscription
            await self._apply(self.resumption.event(frame), frame)

    async def _apply(self, step: ResumptionStep, frame: Frame) -> None:
        """Give the reader the event or gap of a step, if there is room, and then store its position."""
        events: list[ReceivedEvent] = []
        if step.gap is not None:
            events.append(
                Gap(self.name, step.gap, None if step.is_new or step.position is None else str(step.position))
            )
        if step.is_new:
            events.append(frame.to_event())
        if events and not await self._offer(events):
            return
        self.resumption.apply(step)

    async def _offer(self, events: Sequence[ReceivedEvent]) -> bool:
        queue = await self._queue()
        if self._ended or queue.offer(events, self._note_position):
            return True
        self._is_behind = True
        queue.when_half_empty(self._catch_up)
        return False

    async def _add(self, event: ReceivedEvent) -> None:
        queue = await self._queue()
        if not self._ended:
            queue.add(event)

    async def _queue(self) -> EventQueue:
        """Return the queue of the channel's reader, after it had time to make room."""
        while True:
            queue = self.own_events or self._unclaimed
            await queue.wait_for_room()
            if queue is (self.own_events or self._unclaimed):
                return queue

    def _note_position(self, event: ReceivedEvent) -> None:
        self.position = event.position or self.position

    def _catch_up(self) -> None:
        """Ask for the events that found no room, no more often than servers allow."""
        if not self._is_behind or not self.subscribed:  # the subscription on the next socket catches up
            return
        loop = asyncio.get_running_loop()
        early = self._caught_up_at + _CATCH_UP_INTERVAL - loop.time()
        if early > 0:
            loop.call_later(early, self._catch_up)
        else:
            self._caught_up_at = loop.time()
            self._renew(self)


def request_of(channel: Channel, auth: ChannelAuth | None, earlier_sockets: Sequence[str]) -> dict[str, Any]:
    """Return the data of a ``pusher:subscribe``; events that exclude one of the earlier sockets are not sent again."""
    data: dict[str, Any] = {"channel": channel.name}
    if auth is not None:
        data["auth"] = auth.auth
        if auth.channel_data is not None:
            data["channel_data"] = auth.channel_data
    data |= channel.resumption.request()
    if earlier_sockets:
        data["was"] = list(earlier_sockets)
    return data

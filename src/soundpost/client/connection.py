"""A client of a Pusher-compatible server: subscribes, hands on events, comes back when the connection is lost.

async with connect("https://ws.example.com", "app-key") as client:
    await client.subscribe("orders")
    async for event in client:
        print(event.channel, event.name, event.data)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

from soundpost.client.authorization import Authorize
from soundpost.client.incoming import INTERNAL, Event, Frame
from soundpost.client.pusher_socket import ANSWER_TIMEOUT, Lost, LostError, PusherSocket
from soundpost.client.reconnection import Action, action_for, delay_before
from soundpost.client.subscriptions import Subscription, Subscriptions
from soundpost.errors import RequestError, SubscriptionError
from soundpost.wire.messages import encode

_WAITING_EVENTS: Final = 1_000
_HOLDS_AFTER: Final = 5.0
"""Seconds after which a socket counts as one that holds, so that the next loss is the first again."""


def connect(base_url: str, key: str, *, verify: bool = True, on_status: Callable[[str], None] | None = None) -> Client:
    """A client of the app with this key; connects when entered with ``async with``.

    ``base_url`` is the server's address with its path prefix, if any; http and ws, https and wss are the same here.
    ``verify=False`` takes any certificate. ``on_status`` is told, in words, when the connection is lost and back.
    Entering raises RequestError when no server is there, ConnectionRefused when it refuses the connection.
    """
    return Client(base_url, key, verify, on_status or (lambda text: None))


class Client:
    """A connection that outlives its sockets. Made by :func:`connect`; iterate over it for its events.

    Up to 1,000 events wait for a slow reader; then the server is no longer read from, until it gives up on us.
    """

    def __init__(self, base_url: str, key: str, verify: bool, on_status: Callable[[str], None]) -> None:
        self._base_url = base_url
        self._key = key
        self._verify = verify
        self._on_status = on_status
        self._subscriptions = Subscriptions()
        self._one_at_a_time = asyncio.Lock()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(_WAITING_EVENTS)
        self._ended: BaseException | None = None
        self._socket: PusherSocket
        self._runner: asyncio.Task[None]

    async def __aenter__(self) -> Client:
        try:
            self._socket = await self._open()
        except LostError as error:
            raise error.lost.refusal() from None
        self._runner = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = self._ended or StopAsyncIteration()
        self._runner.cancel()
        await asyncio.wait([self._runner])
        with suppress(asyncio.QueueFull):
            self._events.put_nowait(None)
        await self._socket.close()

    @property
    def socket_id(self) -> str:
        """What the server calls this connection; something else after each reconnection."""
        return self._socket.socket_id

    async def subscribe(self, channel: str, *, auth: Authorize | None = None) -> Subscription:
        """Subscribe, now and after every reconnection; ``auth`` authorizes private and presence channels.

        Raises SubscriptionError when the server refuses, or does not answer within 10 seconds.
        """
        async with self._one_at_a_time:
            if self._ended is not None:
                raise self._ended
            subscription = Subscription(channel, auth)
            self._subscriptions.add(subscription)
            try:
                await self._request(subscription)
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await subscription.answer
            except BaseException as error:
                self._subscriptions.remove(channel)
                if isinstance(error, TimeoutError):
                    raise SubscriptionError(channel, 0, "the server did not answer", status=0) from None
                raise
            return subscription

    async def unsubscribe(self, channel: str) -> None:
        """Leave a channel."""
        if self._subscriptions.remove(channel):
            await self._socket.send("pusher:unsubscribe", encode({"channel": channel}).decode())

    def __aiter__(self) -> Client:
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises ConnectionRefused when the server sends us away for good."""
        if self._ended is not None and self._events.empty():
            raise self._ended
        event = await self._events.get()
        if event is None:
            raise self._ended or StopAsyncIteration
        return event

    async def _open(self) -> PusherSocket:
        return await PusherSocket.open(self._base_url, self._key, verify=self._verify)

    async def _request(self, subscription: Subscription) -> None:
        socket = self._socket
        await socket.send("pusher:subscribe", await subscription.request(socket.socket_id))

    async def _run(self) -> None:
        """Read; reconnect whenever the socket is lost; end only when sent away."""
        clock = asyncio.get_running_loop().time
        attempt = 0
        try:
            while True:
                since = clock()
                lost = await self._read()
                attempt = await self._reconnect(lost, 0 if clock() - since > _HOLDS_AFTER else attempt)
        except Exception as error:
            self._ended = error
            self._subscriptions.fail_all(error)
            await self._events.put(None)

    async def _read(self) -> Lost:
        """Handle what comes, until nothing comes any more."""
        try:
            while True:
                await self._handle(await self._socket.receive())
        except LostError as error:
            return error.lost

    async def _handle(self, frame: Frame) -> None:
        if frame.event == "pusher:ping":
            await self._socket.send("pusher:pong", "{}")
        elif frame.event == "pusher:pong":
            return
        elif frame.event == f"{INTERNAL}subscription_succeeded":
            self._subscriptions.succeeded(frame)
        elif frame.event not in ("pusher:error", "pusher:subscription_error") or not self._subscriptions.refused(frame):
            await self._events.put(frame.to_event())

    async def _reconnect(self, lost: Lost, attempt: int) -> int:
        """Come back, however long it takes; return the number of attempts so far. Raises ConnectionRefused."""
        why = str(lost)
        action = action_for(lost.code)
        while True:
            if action is Action.GIVE_UP:
                raise lost.refusal()
            delay = delay_before(attempt, action)
            attempt += 1
            self._on_status(f"{why}; reconnecting {f'in {delay:.0f} s' if delay else 'now'}")
            await asyncio.sleep(delay)
            try:
                self._socket = await self._open()
            except LostError as error:
                lost = error.lost
                why, action = str(lost), action_for(lost.code)
            except RequestError as error:
                why, action = str(error), Action.AFTER_A_WHILE
            else:
                for subscription in self._subscriptions:
                    await self._request(subscription)
                self._on_status("connected again")
                return attempt

"""The client for programs without asyncio: a thread runs it.

with SyncClient("https://ws.example.com", "app-key") as client:
    for event in client.subscribe("orders"):
        print(event.name, event.data)
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any

from soundpost.client.authorization import Authenticate, Authorize
from soundpost.client.client import Client
from soundpost.client.incoming import Event
from soundpost.client.members import Member
from soundpost.client.pusher_socket import MAX_MESSAGE_SIZE
from soundpost.client.subscription import Subscription
from soundpost.client.user import User
from soundpost.loop_thread import LoopThread


class SyncClient:
    """``Client``, blocking. Connects when entered with ``with``; parameters and errors are those of ``Client``.

    It may be used from several threads. ``auth`` and ``on_status`` are called in the thread that runs it.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        auth: Authorize | None = None,
        verify: bool = True,
        max_message_size: int = MAX_MESSAGE_SIZE,
        on_status: Callable[[str], None] | None = None,
    ) -> None:
        self._client = Client(
            base_url, key, auth=auth, verify=verify, max_message_size=max_message_size, on_status=on_status
        )
        self._thread = LoopThread("soundpost-client")

    def __enter__(self) -> SyncClient:
        self._thread.start()
        try:
            self._thread.run(self._client.__aenter__())
        except BaseException:
            self._thread.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_of_another_process:
            return  # the connection stays the other one's
        try:
            self._thread.run(self._client.__aexit__(None, None, None))
        finally:
            self._thread.stop()

    @property
    def socket_id(self) -> str:
        """What the server calls this connection; something else after each reconnection."""
        return self._client.socket_id

    @property
    def user(self) -> SyncUser | None:
        """Who we are signed in as."""
        user = self._client.user
        return None if user is None else SyncUser(user, self._thread)

    @property
    def missed(self) -> int:
        """Events that were dropped since nobody read the client's own iteration."""
        return self._client.missed

    def subscribe(self, channel: str, *, auth: Authorize | None = None) -> SyncSubscription:
        """Subscribe, now and after every reconnection; waits for the server's yes. Raises SubscriptionError."""

        async def subscribe() -> Subscription:
            return await self._client.subscribe(channel, auth=auth)

        return SyncSubscription(self._thread.run(subscribe()), self._thread)

    def unsubscribe(self, channel: str) -> None:
        """Leave a channel; nothing happens if it was not subscribed to."""
        self._thread.run(self._client.unsubscribe(channel))

    def sign_in(self, auth: Authenticate | None = None) -> SyncUser:
        """Sign in, now and after every reconnection, and get what is sent to the user. As ``Client.sign_in``."""
        return SyncUser(self._thread.run(self._client.sign_in(auth)), self._thread)

    def __iter__(self) -> Iterator[Event]:
        """The events of all channels that are not read by themselves, and those of the connection."""
        return _events(self._client.__anext__, self._thread)


class SyncSubscription:
    """One channel, from ``SyncClient.subscribe``: iterate over its events. As ``Subscription``, blocking."""

    def __init__(self, subscription: Subscription, thread: LoopThread) -> None:
        self._subscription = subscription
        self._thread = thread

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._subscription.channel

    @property
    def members(self) -> dict[str, Any]:
        """Who is present at this moment, user info by user id; empty on other channels."""
        return self._subscription.members.copy()

    @property
    def me(self) -> Member | None:
        """Who we are on a presence channel."""
        return self._subscription.me

    @property
    def is_subscribed(self) -> bool:
        """Whether the server has said yes on the connection there is now."""
        return self._subscription.is_subscribed

    @property
    def missed(self) -> int:
        """Events that were dropped since this channel's reader was more than 1,000 behind."""
        return self._subscription.missed

    def next(self, timeout: float | None = None) -> Event:
        """The next event. Raises TimeoutError after ``timeout`` seconds, SubscriptionError when there will be none."""
        return self._thread.run(self._subscription.next(timeout))

    def trigger(self, event: str, data: Any = None) -> None:
        """Send a client event to the channel's other subscribers. As ``Subscription.trigger``."""
        self._thread.run(self._subscription.trigger(event, data))

    def unsubscribe(self) -> None:
        """Leave the channel."""
        self._thread.run(self._subscription.unsubscribe())

    def __iter__(self) -> Iterator[Event]:
        return _events(self._subscription.__anext__, self._thread)


class SyncUser:
    """The user of a signed-in client: iterate over the events that are sent to it."""

    def __init__(self, user: User, thread: LoopThread) -> None:
        self._user = user
        self._thread = thread
        self.id = user.id
        self.info = user.info
        """What the application says of it, ``user_info``."""

    def next(self, timeout: float | None = None) -> Event:
        """The next event. Raises TimeoutError after ``timeout`` seconds."""
        return self._thread.run(self._user.next(timeout))

    def __iter__(self) -> Iterator[Event]:
        return _events(self._user.__anext__, self._thread)


def _events(next_event: Callable[[], Coroutine[Any, Any, Event]], thread: LoopThread) -> Iterator[Event]:
    while True:
        try:
            event = thread.run(next_event())
        except StopAsyncIteration:
            return
        yield event

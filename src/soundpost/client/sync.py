"""The client for programs without asyncio, run by a thread.

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
from soundpost.client.incoming import ReceivedEvent
from soundpost.client.members import Member
from soundpost.client.pusher_socket import MAX_MESSAGE_SIZE
from soundpost.client.subscription import Subscription
from soundpost.client.user import User
from soundpost.loop_thread import LoopThread


class SyncClient:
    """A blocking ``Client``, with the parameters and errors of ``Client``; connects when entered with ``with``.

    Several threads may use one. ``auth`` and ``on_status`` are called in the thread that runs the client, in which the
    methods of the client raise RuntimeError.
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

    def connect(self) -> None:
        """Connect, as entering with ``with`` does, with the same errors; :meth:`close` the client in the end.

        A client connects once: raises RuntimeError if it is connected or closed.
        """
        self._thread.start()
        try:
            self._thread.run(self._client.connect())
        except BaseException:
            self._thread.stop()
            self._thread = LoopThread("soundpost-client")
            raise

    def close(self) -> None:
        """Close the connection, and end the thread: for a client that was not entered with ``with``.

        A second call does nothing.
        """
        if self._thread.is_of_another_process:
            return  # the connection stays the parent's
        if not self._thread.is_running:
            return
        try:
            self._thread.run(self._client.close())
        finally:
            self._thread.stop()

    def __enter__(self) -> SyncClient:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def socket_id(self) -> str:
        """The socket id, which the server chooses at every connection."""
        return self._client.socket_id

    @property
    def user(self) -> SyncUser | None:
        """The user that is signed in; None without one."""
        user = self._client.user
        return None if user is None else SyncUser(user, self._thread)

    @property
    def missed(self) -> int:
        """Number of events that were dropped from the client's own iteration, since nobody read them."""
        return self._client.missed

    def subscribe(
        self,
        channel: str,
        *,
        auth: Authorize | None = None,
        subscription_events: bool = False,
        after: str | None = None,
        rewind: int | None = None,
    ) -> SyncSubscription:
        """Subscribe, now and after every reconnection, and wait for the answer; the arguments are ``Client``'s.

        Raises SubscriptionError, and what ``Client.subscribe`` raises.
        """

        async def subscribe() -> Subscription:
            return await self._client.subscribe(
                channel, auth=auth, subscription_events=subscription_events, after=after, rewind=rewind
            )

        return SyncSubscription(self._thread.run(subscribe()), self._thread)

    def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a channel; do nothing if it is not subscribed to."""
        self._thread.run(self._client.unsubscribe(channel))

    def sign_in(self, auth: Authenticate | None = None) -> SyncUser:
        """Sign in, now and after every reconnection, and return the user. Raises as ``Client.sign_in``."""
        return SyncUser(self._thread.run(self._client.sign_in(auth)), self._thread)

    def __iter__(self) -> Iterator[ReceivedEvent]:
        """Yield the events of the connection, and of channels that are not read by themselves."""
        return _events(self._client.__anext__, self._thread)


class SyncSubscription:
    """A blocking ``Subscription``, from ``SyncClient.subscribe``: iterate over its events."""

    def __init__(self, subscription: Subscription, thread: LoopThread) -> None:
        self._subscription = subscription
        self._thread = thread

    @property
    def channel(self) -> str:
        """The name of the channel."""
        return self._subscription.channel

    @property
    def members(self) -> dict[str, Any]:
        """The present members of a presence channel, user info by user id; a copy."""
        return self._subscription.members.copy()

    @property
    def me(self) -> Member | None:
        """The member that this client is on a presence channel; None until the server has reported it."""
        return self._subscription.me

    @property
    def is_subscribed(self) -> bool:
        """True if the server has accepted the subscription on the current connection."""
        return self._subscription.is_subscribed

    @property
    def position(self) -> str | None:
        """The position of the event that was given last, as ``Subscription.position``."""
        return self._subscription.position

    @property
    def missed(self) -> int:
        """Number of events that were dropped as the reader of this channel was more than 1,000 behind."""
        return self._subscription.missed

    def next(self, timeout: float | None = None) -> ReceivedEvent:
        """Return the next event. Raises TimeoutError after ``timeout`` seconds, SubscriptionError after the last."""
        return self._thread.run(self._subscription.next(timeout))

    def trigger(self, event: str, data: Any = None) -> None:
        """Send a client event to the channel's other subscribers. Raises as ``Subscription.trigger``."""
        self._thread.run(self._subscription.trigger(event, data))

    def unsubscribe(self) -> None:
        """Unsubscribe from the channel."""
        self._thread.run(self._subscription.unsubscribe())

    def __iter__(self) -> Iterator[ReceivedEvent]:
        return _events(self._subscription.__anext__, self._thread)


class SyncUser:
    """The user of a signed-in client: iterate over the events that are sent to it."""

    def __init__(self, user: User, thread: LoopThread) -> None:
        self._user = user
        self._thread = thread
        self.id = user.id
        self.info = user.info
        """The application's ``user_info``."""

    def next(self, timeout: float | None = None) -> ReceivedEvent:
        """Return the next event. Raises TimeoutError after ``timeout`` seconds."""
        return self._thread.run(self._user.next(timeout))

    def __iter__(self) -> Iterator[ReceivedEvent]:
        return _events(self._user.__anext__, self._thread)


def _events(
    next_event: Callable[[], Coroutine[Any, Any, ReceivedEvent]], thread: LoopThread
) -> Iterator[ReceivedEvent]:
    while not thread.is_stopped:
        try:
            event = thread.run(next_event())
        except StopAsyncIteration:
            return
        yield event

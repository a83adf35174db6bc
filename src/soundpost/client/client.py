"""The client for asyncio: subscribes, yields events, and reconnects when the connection is lost.

async with Client("https://ws.example.com", "app-key") as client:
    async for event in client.subscribe("orders"):
        print(event.name, event.data)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import TracebackType

from soundpost.client.address import socket_url
from soundpost.client.arguments import check_function
from soundpost.client.authorization import AUTHORIZER, Authenticate, Authorize, UserAuthorizer
from soundpost.client.connection import Connection
from soundpost.client.incoming import ReceivedEvent
from soundpost.client.names import text
from soundpost.client.pusher_socket import MAX_MESSAGE_SIZE
from soundpost.client.session import Session
from soundpost.client.start_position import start_position_of
from soundpost.client.subscription import Subscription
from soundpost.client.user import User
from soundpost.errors import ConfigurationError


class Client:
    """A client of one app of a Pusher-compatible server; connects when entered with ``async with``.

    - ``base_url``: the server's address, with its path prefix if there is one. http and ws mean the same, and so do
      https and wss. A query is sent too.
    - ``key``: the app's key.
    - ``auth``: authorizes private and presence channels: ``with_secret(…)``, ``from_endpoint(…)``, or any callable.
    - ``verify``: False accepts any certificate.
    - ``max_message_size``: bytes of one message. The client reconnects if the server sends more.
    - ``on_status``: called with a text when the connection is lost, when it is back, and when missed events follow.

    Raises ConfigurationError for a wrong argument. Entering raises RequestError when no server answers,
    ConnectionRefused when the server refuses the connection.

    Iterating over the client gives the events of all channels that have no reader of their own, and the events of the
    connection (``pusher:error``, ``channel`` None). A :class:`Gap` stands for missing events. Up to 1,000 events wait
    for each reader. If more come, a channel with a history fetches them from there later. On other channels the oldest
    events are dropped, and the reader's ``missed`` counts them.
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
        url = socket_url(base_url, key)
        check_function(auth, "auth", AUTHORIZER)
        check_function(on_status, "on_status", "a function of a text")
        if inspect.iscoroutinefunction(on_status):
            raise ConfigurationError("on_status is a coroutine function, which would never run: leave out the 'async'")
        if type(verify) is not bool:
            raise ConfigurationError(f"verify {verify!r}: expected True or False")
        self._auth = auth
        on_status = on_status or (lambda text: None)
        self._session = Session(auth, on_status)
        self._connection = Connection(
            base_url,
            url,
            verify=verify,
            max_message_size=_checked(max_message_size),
            on_status=on_status,
            session=self._session,
        )

    async def connect(self) -> None:
        """Connect, as entering with ``async with`` does, with the same errors; :meth:`close` the client in the end.

        A client connects once: raises RuntimeError if it is connected or closed.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Close the connection, and end all iterations: for a client that was not entered with ``async with``.

        A second call does nothing.
        """
        await self._connection.close()

    async def __aenter__(self) -> Client:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def socket_id(self) -> str:
        """The socket id, which the server chooses at every connection."""
        return self._connection.socket_id

    @property
    def user(self) -> User | None:
        """The user that is signed in; None without one."""
        sign_in = self._session.sign_in
        if sign_in is None or sign_in.user_id is None or sign_in.channel is None:
            return None
        return User(sign_in.user_id, sign_in.user_info, Subscription(sign_in.channel, self._session))

    @property
    def missed(self) -> int:
        """Number of events that were dropped from the client's own iteration, since nobody read them."""
        return self._session.events.missed

    def subscribe(
        self,
        channel: str,
        *,
        auth: Authorize | None = None,
        subscription_events: bool = False,
        after: str | None = None,
        rewind: int | None = None,
    ) -> Subscription:
        """Subscribe to a channel, now and after every reconnection; ``auth`` replaces the client's for this channel.

        Await the subscription to wait for the server's acceptance, or iterate over its events; both raise the refusal.
        If the program does neither, a refusal is an event ``pusher:subscription_error`` of the client. For a channel
        that is subscribed to already, the same subscription is returned. While the connection is lost, awaiting waits
        for the next one. With ``subscription_events`` the events contain ``pusher:subscription_succeeded`` after every
        reconnection, and ``pusher:subscription_count`` from servers that count.

        On a channel with a history the events begin ``after`` a position, such as ``Event.position`` or the result of
        ``broadcast.position(channel)``, or with the last ``rewind`` events, if the server allows that many.
        Without a history ``rewind`` does nothing, and ``after`` gives a :class:`Gap` first. Raises PositionError for a
        text that is not a position, ConfigurationError for both at once, and for another start of a channel that is
        subscribed to. Raises RuntimeError if the client is not connected.
        """
        check_function(auth, "auth", AUTHORIZER)
        name, start_position = text(channel, "a channel's name"), start_position_of(after, rewind)
        self._connection.check_connected()
        found = self._session.subscribe(
            name, auth, subscription_events=subscription_events, start_position=start_position
        )
        return Subscription(found, self._session)

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a channel; do nothing if it is not subscribed to."""
        found = self._session.channels.get(text(channel, "a channel's name"))
        if found is not None:
            await self._session.unsubscribe(found)

    async def sign_in(self, auth: Authenticate | None = None) -> User:
        """Sign in, now and after every reconnection, and return the user, with the events sent to it.

        Without ``auth`` the client's own is asked. Raises ConfigurationError if the client has none, RequestError with
        the status of the application's refusal, and ProtocolError when the server refuses; after a wrong signature the
        server also ends the connection. Reverb has no sign-in.
        """
        if auth is None:
            if not isinstance(self._auth, UserAuthorizer):
                raise ConfigurationError(
                    "signing in needs authorization: sign_in(auth), or a Client with with_secret(…) or from_endpoint(…)"
                )
            auth = self._auth.user
        check_function(auth, "auth", "a function of a socket id that returns a UserAuth")
        self._connection.check_connected()
        await self._session.signed_in(auth)
        user = self.user
        assert user is not None
        return user

    def __aiter__(self) -> Client:
        return self

    async def __anext__(self) -> ReceivedEvent:
        """Return the next event. Raises ConnectionRefused when the server refuses further connections.

        Raises RuntimeError if the client is not connected.
        """
        self._connection.check_connected()
        event = await self._session.events.get()
        if event is None:
            raise StopAsyncIteration
        return event


def _checked(max_message_size: int) -> int:
    if type(max_message_size) is not int or max_message_size < 1:
        raise ConfigurationError(f"max_message_size {max_message_size!r}: expected a number of bytes, 1 or more")
    return max_message_size

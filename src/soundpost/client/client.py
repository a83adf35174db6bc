"""A client of a Pusher-compatible server: subscribes, hands on events, comes back when the connection is lost.

async with Client("https://ws.example.com", "app-key") as client:
    async for event in client.subscribe("orders"):
        print(event.name, event.data)
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from soundpost.client.authorization import Authenticate, Authorize, KnowsUser
from soundpost.client.connection import Connection
from soundpost.client.incoming import Event
from soundpost.client.names import text
from soundpost.client.pusher_socket import MAX_MESSAGE_SIZE
from soundpost.client.session import Session
from soundpost.client.subscription import Subscription
from soundpost.client.user import User
from soundpost.errors import ConfigurationError


class Client:
    """A client of the app with this key; connects when entered with ``async with``.

    ``base_url`` is the server's address with its path prefix, if any; http and ws, https and wss are the same here.
    ``auth`` authorizes private and presence channels: ``with_secret(…)``, ``from_endpoint(…)``, or any callable.
    ``verify=False`` takes any certificate. A server that sends more than ``max_message_size`` bytes in one message is
    left, and connected to again. ``on_status`` is told, in words, when the connection is lost and back.
    Entering raises RequestError when no server is there, ConnectionRefused when it refuses the connection.

    Iterating over the client gives the events of all channels that are not read by themselves, and those of the
    connection (``pusher:error``, ``channel`` None). Up to 1,000 events wait for each reader; see ``EventQueue`` for
    what happens to one who is further behind.
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
        self._auth = auth
        self._session = Session(auth)
        self._connection = Connection(
            base_url,
            key,
            verify=verify,
            max_message_size=_checked(max_message_size),
            on_status=on_status or (lambda text: None),
            session=self._session,
        )

    async def __aenter__(self) -> Client:
        await self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    @property
    def socket_id(self) -> str:
        """What the server calls this connection; something else after each reconnection."""
        return self._connection.socket_id

    @property
    def user(self) -> User | None:
        """Who we are signed in as."""
        sign_in = self._session.sign_in
        if sign_in is None or sign_in.user_id is None or sign_in.channel is None:
            return None
        return User(sign_in.user_id, sign_in.user_info, Subscription(sign_in.channel, self._session))

    @property
    def missed(self) -> int:
        """Events that were dropped since nobody read the client's own iteration."""
        return self._session.events.missed

    def subscribe(self, channel: str, *, auth: Authorize | None = None) -> Subscription:
        """Subscribe, now and after every reconnection; ``auth`` is for this channel, instead of the client's.

        Await what is returned to know that the server said yes, or iterate over it; a refusal is raised there, and an
        event ``pusher:subscription_error`` of the client where nobody does either. A channel that is subscribed to
        already is given again. While the connection is lost, this waits for it to come back.
        """
        return Subscription(self._session.subscribe(text(channel, "a channel's name"), auth), self._session)

    async def unsubscribe(self, channel: str) -> None:
        """Leave a channel; nothing happens if it was not subscribed to."""
        found = self._session.channels.get(text(channel, "a channel's name"))
        if found is not None:
            await self._session.unsubscribe(found)

    async def sign_in(self, auth: Authenticate | None = None) -> User:
        """Sign in, now and after every reconnection, and get what is sent to the user.

        Without ``auth`` the client's own is asked. Raises RequestError when the application refuses (its ``status``),
        ProtocolError when the server does: for a wrong signature it ends the connection, too. Reverb knows no sign-in.
        """
        if auth is None:
            if not isinstance(self._auth, KnowsUser):
                raise ConfigurationError(
                    "signing in needs authorization: sign_in(auth), or a Client with with_secret(…) or from_endpoint(…)"
                )
            auth = self._auth.user
        await self._session.signed_in(auth)
        user = self.user
        assert user is not None
        return user

    def __aiter__(self) -> Client:
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises ConnectionRefused when the server sends us away for good."""
        event = await self._session.events.get()
        if event is None:
            raise StopAsyncIteration
        return event


def _checked(max_message_size: int) -> int:
    if max_message_size < 1:
        raise ConfigurationError(f"max_message_size {max_message_size}: expected a number of bytes, 1 or more")
    return max_message_size

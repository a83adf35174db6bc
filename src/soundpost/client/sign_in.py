"""The sign-in of a client as a user, on this socket and all later ones.

Source: https://pusher.com/docs/channels/using_channels/user-authentication/
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from soundpost.client.authorization import Authenticate, UserAuth, ask_until_answered, result_of
from soundpost.client.pending_requests import SIGN_IN
from soundpost.client.pusher_socket import ANSWER_TIMEOUT, PusherSocket
from soundpost.errors import ConfigurationError, RequestError
from soundpost.wire.channel_names import SERVER_TO_USER
from soundpost.wire.foreign import object_in

if TYPE_CHECKING:
    from soundpost.client.channel import Channel
    from soundpost.client.session import Session

_log: Final = logging.getLogger("soundpost.client")


class ClientSignIn:
    """A sign-in, and its state."""

    def __init__(self, authenticate: Authenticate, session: Session) -> None:
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """A future that is done when the server or the application first accepts or refuses the sign-in."""
        self.answered = asyncio.Event()
        """Set while the sign-in is answered on the current socket: channels that need a user may be subscribed to."""
        self.user_id: str | None = None
        self.user_info: Any = None
        self.channel: Channel | None = None
        """The channel of the events sent to the user."""
        self._authenticate = authenticate
        self._session = session

    async def run(self, socket: PusherSocket) -> None:
        """Sign in on one socket; every failure goes to :meth:`refuse`."""

        async def ask() -> UserAuth:
            auth = await result_of(lambda: self._authenticate(socket.socket_id), "the authenticator")
            if not isinstance(auth, UserAuth):
                raise ConfigurationError(f"the authenticator returned a {type(auth).__name__}: a UserAuth is expected")
            return auth

        try:
            auth = await ask_until_answered(ask) if self.answer.done() else await ask()
        except Exception as error:  # an authenticator of the application may raise anything
            await self.refuse(error)
            return
        answer = self._session.requests.expect(SIGN_IN)
        await socket.send(SIGN_IN, {"auth": auth.auth, "user_data": auth.user_data})
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await answer
        except TimeoutError:
            self._session.requests.resolve(SIGN_IN)
            await self.refuse(RequestError(0, "the server did not answer the sign-in: it may not support signing in"))

    def succeed(self, content: dict[str, Any]) -> None:
        """Take the server's acceptance, and subscribe to the channel of the user."""
        user = _decoded(content.get("user_data"))
        self.user_id = str(user.get("id"))
        self.user_info = user.get("user_info")
        name = SERVER_TO_USER + self.user_id
        if self.channel is None or self.channel.name != name:
            self.channel = self._session.subscribe(name)
        self.answered.set()
        if not self.answer.done():
            self.answer.set_result(None)

    async def refuse(self, error: Exception) -> None:
        """End a refused sign-in, and the channel of the user."""
        self._session.sign_in = None
        self.answered.set()
        if not self.fail(error):
            _log.warning("not signed in any more: %s", error)
        if self.channel is not None:
            await self._session.refuse(self.channel, error)

    def fail(self, error: BaseException) -> bool:
        """Raise an error for the caller that waits for the first answer; return False if that has come."""
        if self.answer.done():
            return False
        self.answer.set_exception(error)
        self.answer.exception()  # marked as retrieved: the caller awaits it
        return True

    def lost(self) -> None:
        """Take note that the socket is lost."""
        self.answered.clear()


def _decoded(user_data: Any) -> dict[str, Any]:
    user = object_in(user_data) if isinstance(user_data, str) else user_data
    return user if isinstance(user, dict) else {}

"""Signing a connection in as a user, on this socket and all that follow it.

Source: https://pusher.com/docs/channels/using_channels/user-authentication/
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any, Final

from soundpost.client.answers import SIGN_IN
from soundpost.client.authorization import Authenticate, UserAuth, answered
from soundpost.client.pusher_socket import ANSWER_TIMEOUT, PusherSocket
from soundpost.errors import RequestError
from soundpost.wire.channel_names import SERVER_TO_USER
from soundpost.wire.foreign import object_in

if TYPE_CHECKING:
    from soundpost.client.channel import Channel
    from soundpost.client.session import Session

_log: Final = logging.getLogger("soundpost.client")


class SignIn:
    """The wish to be a user, and what became of it."""

    def __init__(self, authenticate: Authenticate, session: Session) -> None:
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when we have been signed in, or refused, for the first time."""
        self.settled = asyncio.Event()
        """Answered on the socket there is now: what needs a user can be asked for."""
        self.user_id: str | None = None
        self.user_info: Any = None
        self.channel: Channel | None = None
        """What is sent to the user."""
        self._authenticate = authenticate
        self._session = session

    async def run(self, socket: PusherSocket) -> None:
        """Sign one socket in; what goes wrong is told by :meth:`refuse`."""

        async def ask() -> UserAuth:
            auth = self._authenticate(socket.socket_id)
            return await auth if inspect.isawaitable(auth) else auth

        try:
            auth = await answered(ask) if self.answer.done() else await ask()
        except Exception as error:  # an authenticator of the application may raise anything
            await self.refuse(error)
            return
        answer = self._session.answers.expect(SIGN_IN)
        await socket.send(SIGN_IN, {"auth": auth.auth, "user_data": auth.user_data})
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await answer
        except TimeoutError:
            self._session.answers.settle(SIGN_IN)
            await self.refuse(RequestError(0, "the server did not answer the sign-in: not every server knows it"))

    def succeed(self, content: dict[str, Any]) -> None:
        """The server accepted it: ask for what is sent to the user."""
        user = _decoded(content.get("user_data"))
        self.user_id = str(user.get("id"))
        self.user_info = user.get("user_info")
        name = SERVER_TO_USER + self.user_id
        if self.channel is None or self.channel.name != name:
            self.channel = self._session.subscribe(name)
        self.settled.set()
        if not self.answer.done():
            self.answer.set_result(None)

    async def refuse(self, error: Exception) -> None:
        """We cannot be this user, or not any more: channels that need it are on their own."""
        self._session.sign_in = None
        self.settled.set()
        if not self.fail(error):
            _log.warning("not signed in any more: %s", error)
        if self.channel is not None:
            await self._session.refuse(self.channel, error)

    def fail(self, error: BaseException) -> bool:
        """Tell whoever waits for the first answer; False when it has come long ago."""
        if self.answer.done():
            return False
        self.answer.set_exception(error)
        self.answer.exception()  # it is not lost: who asked to sign in awaits it
        return True

    def lost(self) -> None:
        """The socket is gone, and nobody signed in on the next one yet."""
        self.settled.clear()


def _decoded(user_data: Any) -> dict[str, Any]:
    user = object_in(user_data) if isinstance(user_data, str) else user_data
    return user if isinstance(user, dict) else {}

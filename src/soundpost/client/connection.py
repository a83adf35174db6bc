"""A connection that outlives its sockets: opens one, reads it, opens the next when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from soundpost.client.pusher_socket import Lost, LostError, PusherSocket
from soundpost.client.reconnection import Action, action_for, delay_before
from soundpost.client.thinned_log import ThinnedLog
from soundpost.errors import RequestError
from soundpost.wire.printable import one_line

if TYPE_CHECKING:
    from soundpost.client.session import Session

_HOLDS_AFTER: Final = 5.0
"""Seconds after which a socket counts as one that holds, so that the next loss is the first again."""
_SHOWN: Final = 100


class Connection:
    """Tells a session of sockets that come and go, and what they receive."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        verify: bool,
        max_message_size: int,
        on_status: Callable[[str], None],
        session: Session,
    ) -> None:
        self._base_url = base_url
        self._key = key
        self._verify = verify
        self._max_message_size = max_message_size
        self._bad_messages = ThinnedLog()
        self._on_status = on_status
        self._session = session
        self._socket: PusherSocket
        self._runner: asyncio.Task[None]

    @property
    def socket_id(self) -> str:
        """What the server calls this connection; something else after each reconnection."""
        return self._socket.socket_id

    async def open(self) -> None:
        """Connect. Raises RequestError when no server is there, ConnectionRefused when it refuses the connection."""
        try:
            self._socket = await self._open()
        except LostError as error:
            raise error.lost.refusal() from None
        self._session.connected(self._socket)
        self._runner = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Say goodbye, for good."""
        self._runner.cancel()
        await asyncio.wait([self._runner])
        self._session.ended(None)
        await self._socket.close()

    async def _open(self) -> PusherSocket:
        return await PusherSocket.open(
            self._base_url,
            self._key,
            verify=self._verify,
            max_message_size=self._max_message_size,
            bad_messages=self._bad_messages,
        )

    async def _run(self) -> None:
        """Read; reconnect whenever the socket is lost; end only when sent away."""
        clock = asyncio.get_running_loop().time
        attempt = 0
        try:
            while True:
                since = clock()
                lost = await self._read()
                self._session.lost()
                attempt = await self._reconnect(lost, 0 if clock() - since > _HOLDS_AFTER else attempt)
        except Exception as error:
            self._session.ended(error)

    async def _read(self) -> Lost:
        """Hand on what comes, until nothing comes any more; a message that cannot be handled is left out."""
        while True:
            try:
                frame = await self._socket.receive()
            except LostError as error:
                return error.lost
            try:
                await self._session.received(frame)
            except Exception as error:
                self._bad_messages.warning(f"{one_line(frame.event, _SHOWN)} could not be handled, left out", error)

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
                self._session.connected(self._socket)
                self._on_status("connected again")
                return attempt

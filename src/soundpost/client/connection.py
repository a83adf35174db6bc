"""A connection that outlives its sockets: reads one, and opens the next when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from soundpost.client.bad_messages import BadMessageLog
from soundpost.client.pusher_socket import ConnectionLoss, ConnectionLostError, PusherSocket
from soundpost.client.reconnection import Action, action_for, delay_before
from soundpost.errors import RequestError
from soundpost.wire.printable import one_line

if TYPE_CHECKING:
    from soundpost.client.session import Session

_STABLE_AFTER: Final = 5.0
"""Seconds after which a socket counts as stable: its loss is reconnected to without growing delay."""
_SHOWN: Final = 100
_NOT_CONNECTED: Final = "the client is not connected: use it in an 'async with' block, or await connect() before"
_CLOSED: Final = "the client is closed: make another one"


class Connection:
    """Opens sockets for a session at the WebSocket address ``url``, and hands it their messages."""

    def __init__(
        self,
        base_url: str,
        url: str,
        *,
        verify: bool,
        max_message_size: int,
        on_status: Callable[[str], None],
        session: Session,
    ) -> None:
        self._base_url = base_url
        self._url = url
        self._verify = verify
        self._max_message_size = max_message_size
        self._bad_messages = BadMessageLog()
        self._on_status = on_status
        self._session = session
        self._socket: PusherSocket
        self._runner: asyncio.Task[None] | None = None
        self._is_opened = False
        """True once the first socket is being opened or open."""
        self._is_closed = False

    @property
    def socket_id(self) -> str:
        """The socket id, which the server chooses at every connection. Raises RuntimeError before the first one."""
        self.check_connected()
        return self._socket.socket_id

    def check_connected(self) -> None:
        """Raise RuntimeError if this connection was never open, so that no caller waits for ever."""
        if self._runner is None:
            raise RuntimeError(_CLOSED if self._is_closed else _NOT_CONNECTED)

    async def open(self) -> None:
        """Connect. Raises RequestError when no server answers, ConnectionRefused when it refuses the connection.

        Raises RuntimeError for a second call, unless the first one failed.
        """
        if self._is_closed:
            raise RuntimeError(_CLOSED)
        if self._is_opened:
            raise RuntimeError("the client is connected already: connect() is called once, and reconnects by itself")
        self._is_opened = True
        try:
            self._socket = await self._open()
        except BaseException as error:
            self._is_opened = False
            if isinstance(error, ConnectionLostError):
                raise error.lost.refusal() from None
            raise
        if self._is_closed:
            await self._socket.close()
            raise RuntimeError("the client was closed while it connected")
        self._session.connected(self._socket)
        self._runner = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Close the connection, and do not reconnect; do nothing if it is closed."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._runner is None:
            self._session.ended(None)
            return
        self._runner.cancel()
        await asyncio.wait([self._runner])
        self._session.ended(None)
        await self._socket.close()

    async def _open(self) -> PusherSocket:
        return await PusherSocket.open(
            self._base_url,
            self._url,
            verify=self._verify,
            max_message_size=self._max_message_size,
            bad_messages=self._bad_messages,
        )

    async def _run(self) -> None:
        """Read messages, and reconnect when the socket is lost, until the server refuses further connections."""
        clock = asyncio.get_running_loop().time
        attempt = 0
        try:
            while True:
                since = clock()
                lost = await self._read()
                self._session.lost()
                attempt = await self._reconnect(lost, 0 if clock() - since > _STABLE_AFTER else attempt)
        except Exception as error:
            self._session.ended(error)

    async def _read(self) -> ConnectionLoss:
        """Hand on messages until the socket is lost; a message that cannot be handled is logged and left out."""
        while True:
            try:
                frame = await self._socket.receive()
            except ConnectionLostError as error:
                return error.lost
            try:
                await self._session.received(frame)
            except Exception as error:
                self._bad_messages.warn(f"{one_line(frame.event, _SHOWN)} could not be handled, left out", error)

    async def _reconnect(self, lost: ConnectionLoss, attempt: int) -> int:
        """Reconnect, however long it takes; return the number of attempts. Raises ConnectionRefused."""
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
            except ConnectionLostError as error:
                lost = error.lost
                why, action = str(lost), action_for(lost.code)
            except RequestError as error:
                why, action = str(error), Action.AFTER_A_WHILE
            else:
                self._session.connected(self._socket)
                self._on_status("connected again")
                return attempt

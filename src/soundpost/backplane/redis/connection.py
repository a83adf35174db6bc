"""A connection to a Redis server: commands out, answers and published messages in, in one order.

RESP3 (``HELLO 3``, Redis 6 and later) carries both over one connection: a message published before a command was
executed comes before the command's answer. The order of all changes to a channel rests on that.

A read may bring thousands of messages and answers, when a host was away. They are handled in order, for some
milliseconds in each loop turn.

A bare protocol on hiredis: redis-py's own subscription takes 8 to 20 µs of CPU per message, this 0.7.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import hiredis

from soundpost.backplane.redis.failures import refused
from soundpost.core.slices import TURN

log = logging.getLogger("soundpost.redis")

Then = Callable[[Any], None]
"""Callback that gets an answer; an error is a ``hiredis.ReplyError``."""
Push = Callable[[bytes, bytes], None]
"""Callback that gets a topic and a message published on it."""

_LARGE: Final = 65_536
"""Bytes of a read after which nothing more is read in a loop turn: libuv reads up to 32 times where there is much."""
_LOST: Final = "the connection to Redis was lost"
_CONFIRMATIONS: Final = {b"subscribe", b"unsubscribe", b"ssubscribe", b"sunsubscribe"}


class _Topic(NamedTuple):
    """Placeholder for the confirmation of an (un)subscription, which is a message and not an answer."""

    name: bytes


class RedisConnection(asyncio.Protocol):
    """A connection that calls ``on_push`` for each published message, and ``on_lost`` at the end.

    ``clock`` is in seconds.
    """

    def __init__(
        self,
        on_push: Push,
        on_lost: Callable[[RedisConnection], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._on_push = on_push
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._reader = hiredis.Reader()
        self._is_scheduled = False  # _go_on is, and nothing is read until then
        self._pending: list[bytes] = []
        self._waiting: deque[Then | _Topic | None] = deque()
        self._transport: asyncio.Transport | None = None
        self.ended = asyncio.Event()
        """Set once the connection is lost, all that has come was handled, and no command waits for its answer."""
        self.fault = ""
        """Reason, if this side ended the connection."""

    def send(self, *command: str | bytes | int, then: Then | None = None) -> None:
        """Send a command at the end of this loop turn; ``then`` gets a ConnectionError if the connection is lost."""
        self._send(command, then)

    def send_topic(self, command: str, topic: bytes) -> None:
        """Send the command that subscribes to a topic, or unsubscribes."""
        self._send((command, topic), _Topic(topic))

    def _send(self, command: tuple[str | bytes | int, ...], awaited: Then | _Topic | None) -> None:
        if self.ended.is_set():
            if callable(awaited):
                self._loop.call_soon(awaited, ConnectionError(_LOST))
            return
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(hiredis.pack_command(command))  # type: ignore[arg-type]
        self._waiting.append(awaited)

    async def ask(self, *command: str | bytes | int) -> Any:
        """Send a command and return its answer. Raise hiredis.ReplyError, or ConnectionError for a lost connection."""
        answer: asyncio.Future[Any] = self._loop.create_future()

        def then(value: Any) -> None:
            if not answer.done():
                answer.set_result(value)

        self.send(*command, then=then)
        value = await answer
        if isinstance(value, Exception):
            raise value
        return value

    @property
    def unanswered(self) -> int:
        """The number of commands that wait for their answers."""
        return len(self._waiting)

    def close(self) -> None:
        """Abort the connection; ``on_lost`` is called once, in a later turn, and :attr:`ended` is set then."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if pending and self._transport is not None:
            self._transport.write(b"".join(pending))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the open transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        """Handle the answers and messages that ``data`` completes."""
        self._reader.feed(data)
        if not self._is_scheduled:
            self._handle(until=self._clock() + TURN)
            if len(data) > _LARGE and not self._is_scheduled:
                self._wait_for_turn()

    def _handle(self, until: float) -> None:
        """Handle received replies in order, for a limited time in each loop turn."""
        reader = self._reader
        try:
            while (value := reader.gets()) is not False:
                if isinstance(value, hiredis.PushNotification):
                    self._take_push(value)
                else:
                    self._take_answer(value)
                if self._clock() >= until:
                    self._wait_for_turn()
                    break
        except (hiredis.ProtocolError, IndexError) as error:
            self._break_off(f"what it sends is not Redis' protocol: {error}")

    def _wait_for_turn(self) -> None:
        self._is_scheduled = True
        if self._transport is not None:
            self._transport.pause_reading()
        self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_scheduled = False
        if not self.fault:
            self._handle(until=self._clock() + TURN)
        if self._is_scheduled:
            return
        if self._transport is not None:
            self._transport.resume_reading()
        else:
            self._end()

    def _take_answer(self, value: Any) -> None:
        then = self._waiting.popleft()
        if isinstance(then, _Topic):
            self._break_off(refused(value, "SUBSCRIBE", then.name))
        elif then is not None:
            _call(then, value)

    def _take_push(self, push: list[Any]) -> None:
        kind = push[0]
        if kind in (b"message", b"smessage"):
            _call(self._on_push, push[1], push[2])
        elif kind in _CONFIRMATIONS:
            if self._waiting and self._waiting[0] == _Topic(push[1]):
                self._waiting.popleft()
            else:
                self._break_off(f"the server has taken topic {push[1]!r} away")  # its slot moves to another

    def _break_off(self, reason: str) -> None:
        self.fault = self.fault or reason
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle received replies, and call back all commands that still wait with a ConnectionError."""
        self._transport = None
        if not self._is_scheduled:
            self._end()

    def _end(self) -> None:
        """Call back the commands that still wait, some in each loop turn; then tell that the connection is lost."""
        until, lost = self._clock() + TURN, ConnectionError(_LOST)
        while self._waiting:
            then = self._waiting.popleft()
            if callable(then):
                _call(then, lost)
            if self._clock() >= until:
                self._loop.call_soon(self._end)
                return
        self.ended.set()
        self._on_lost(self)


def _call(then: Callable[..., object], *arguments: object) -> None:
    """Call back and log an error: one client's message must not cost all clients the connection."""
    try:
        then(*arguments)
    except Exception:
        log.exception("an answer or message of Redis could not be handled")

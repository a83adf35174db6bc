"""One connection of an HTTP client: parsed by llhttp, answered in order, within limits of size and time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from inspect import isawaitable
from typing import Final, NamedTuple, cast

import httptools

from soundpost.server.admin_http.messages import AdminError, AdminRequest, AdminStream, Answer, Handle

log = logging.getLogger("soundpost.server")

MAX_HEAD: Final = 16_384
"""Largest size of request line and headers in bytes."""
MAX_BODY: Final = 1_048_576
"""Largest size of a body in bytes, unless a server has a smaller limit."""
_MAX_PIPELINED: Final = 16


class Timeouts(NamedTuple):
    """Seconds that clients have."""

    request: float = 10.0
    """Until a request must be complete, from the begin of the connection or of the request."""
    keep_alive: float = 75.0
    """Until the next request must begin."""
    reading: float = 20.0
    """Until a client must have taken all output."""


TIMEOUTS: Final = Timeouts()


class AdminConnection(asyncio.Protocol):
    """Connection of a client. llhttp calls the ``on_…`` methods; ``on_made`` and ``on_lost`` tell begin and end."""

    def __init__(
        self,
        handle: Handle,
        *,
        on_made: Callable[[AdminConnection], None] | None = None,
        on_lost: Callable[[AdminConnection], None] | None = None,
        max_body: int = MAX_BODY,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self._handle = handle
        self._on_made, self._on_lost = on_made, on_lost
        self._max_body = max_body
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._address = ""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: deque[tuple[AdminRequest, bool, bool]] = deque()
        self._backlog = bytearray()
        self._can_write: asyncio.Future[None] | None = None
        self._is_ending = self._is_streaming = False
        self._new_request()
        self._is_in_request = False

    # Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and begin to wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)  # paused means: something is not taken yet
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        self._set_timer(self._timeouts.request)
        if self._on_made is not None:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came; keep it while a request is under way."""
        if self._is_ending or self._transport.is_closing():
            return
        if self._task is not None:
            self._backlog += data
            if len(self._backlog) > MAX_HEAD:
                self.abort()
            return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        if not self._is_in_request:
            self._is_in_request = True
            self._set_timer(self._timeouts.request)
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_ending = True  # the request itself is answered
        except httptools.HttpParserError:
            self._refuse(400, "This is not a request of HTTP/1.1")
            return
        if self._is_in_request and not self._is_head_complete and self._size > MAX_HEAD:
            self._refuse(431, f"Request line and headers have more than {MAX_HEAD:,} bytes")
        elif self._is_in_request and self._size > 2 * (MAX_HEAD + self._max_body):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way."""
        self._set_timer(None)
        if self._task is not None:
            self._task.cancel()
        if self._on_lost is not None:
            self._on_lost(self)

    def pause_writing(self) -> None:
        """Give the client some time to take the output."""
        self._can_write = self._loop.create_future()
        self._set_timer(self._timeouts.reading)

    def resume_writing(self) -> None:
        """Continue to answer: the client has taken all output."""
        if self._can_write is not None and not self._can_write.done():
            self._can_write.set_result(None)
        self._can_write = None
        if self._task is None:
            self._wait_for_request()
        else:
            self._set_timer(None)

    def _wait_for_request(self) -> None:
        """Give the client some time to send a request, or the rest of one."""
        self._set_timer(self._timeouts.request if self._is_in_request else self._timeouts.keep_alive)

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._loop.call_later(seconds, self.abort)

    # Parser

    def on_message_begin(self) -> None:
        """Reset the state for a new request."""
        self._new_request()

    def _new_request(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._size = self._head_size = 0
        self._is_head_complete = False
        self._is_in_request = True

    def on_url(self, url: bytes) -> None:
        """Take the target, or a part of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; several of one name are joined. Those behind the body are left out."""
        if self._is_head_complete:
            return
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:  # refused when it is complete: joining very many headers would take long
            return
        key = name.decode("latin-1").lower()
        text = value.decode("utf-8", "replace")
        if key in self._headers:
            text = f"{self._headers[key]}{'; ' if key == 'cookie' else ', '}{text}"
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        """Refuse a request that is too large, and send ``100 Continue`` to a client that waits for it."""
        self._is_head_complete = True
        length = self._headers.get("content-length", "")
        if len(self._target) + self._head_size > MAX_HEAD:
            self._refuse(431, f"Request line and headers have more than {MAX_HEAD:,} bytes")
        elif length.isdigit() and int(length[:20]) > self._max_body:
            self._refuse_body()
        elif self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self._is_ending:
            self._body += body
            if len(self._body) > self._max_body:
                self._refuse_body()

    def on_message_complete(self) -> None:
        """Answer the request, or let it wait for its turn."""
        self._is_in_request = False
        if self._is_ending:
            return
        request = AdminRequest(
            self._parser.get_method().decode("latin-1"),
            self._target.decode("latin-1"),
            self._headers,
            bytes(self._body),
            self._address,
        )
        self._waiting.append((request, self._parser.should_keep_alive(), self._parser.get_http_version() == "1.0"))
        if len(self._waiting) > _MAX_PIPELINED:
            self.abort()
        elif self._task is None:
            self._set_timer(None)
            self._task = self._loop.create_task(self._answer_all())

    def _refuse_body(self) -> None:
        self._refuse(413, f"The body has more than {self._max_body:,} bytes")

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer a refused request, and end the connection."""
        if not self._is_ending and not self._transport.is_closing():
            self._is_ending = True
            self._transport.write(AdminError(status, sentence).response().encode(keep_alive=False))
            self._close()

    # Answers

    async def _answer_all(self) -> None:
        """Answer the requests that have come, one after the other."""
        try:
            while self._waiting and not self._transport.is_closing():
                request, keeps, is_old = self._waiting.popleft()
                answer = await self._answer(request)
                keeps = keeps and not self._is_ending
                if isinstance(answer, AdminStream):
                    keeps = keeps and not is_old
                    await self._stream(answer, chunked=not is_old, without_body=request.method == "HEAD")
                else:
                    self._transport.write(answer.encode(keep_alive=keeps, without_body=request.method == "HEAD"))
                    await self._drained()
                if not keeps:
                    self._is_ending = True
                    self._close()
        except Exception:
            log.exception("an answer to %s broke off", self._address)
            self.abort()
        finally:
            self._task = None
        if not self._transport.is_closing():
            self._wait_for_request()
            if self._backlog:
                data, self._backlog = bytes(self._backlog), bytearray()
                self._parse(data)

    async def _answer(self, request: AdminRequest) -> Answer:
        try:
            answer = self._handle(request)
            return await answer if isawaitable(answer) else answer
        except AdminError as error:
            return error.response()
        except Exception:
            log.exception("%s %a failed", request.method, request.path[:200])
            return AdminError(500, "The server failed to answer: its log says why").response()

    async def _stream(self, stream: AdminStream, *, chunked: bool, without_body: bool) -> None:
        parts = stream.parts
        self._is_streaming = True
        try:
            self._transport.write(stream.head(chunked=chunked))
            if without_body:
                return
            async for part in parts:
                if self._transport.is_closing():
                    return
                if part:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
                await self._drained()
            if chunked:
                self._transport.write(b"0\r\n\r\n")
        finally:
            self._is_streaming = False
            await _closed(parts)

    async def _drained(self) -> None:
        """Wait until the client has taken all that was sent."""
        if self._can_write is not None:
            await self._can_write

    # End

    @property
    def is_idle(self) -> bool:
        """True if no request is under way."""
        return self._task is None

    def end(self) -> None:
        """Close the connection: at once if it is idle or streams, else after the answer."""
        self._is_ending = True
        if self.is_idle or self._is_streaming:
            self._close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def _close(self) -> None:
        """Close the connection as soon as the client has taken all output or its time is over."""
        self._set_timer(self._timeouts.reading)
        self._transport.close()


async def _closed(parts: AsyncIterator[bytes]) -> None:
    close = getattr(parts, "aclose", None)
    if close is not None:
        with suppress(Exception):
            await close()

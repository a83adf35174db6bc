"""HTTP connections: requests with keep-alive and pipelining, until one asks for a WebSocket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from soundpost.compilation import mypyc_attr
from soundpost.server.api.requests import ApiError, Request
from soundpost.server.connections.fair_queue import LARGE_READ, SLICE
from soundpost.server.connections.http_responder import HttpResponder
from soundpost.server.connections.request_reader import RequestReader
from soundpost.server.connections.upgrade import begin_upgrade
from soundpost.server.connections.whole_request import WholeRequest, read_whole
from soundpost.wire.frames import CLOSE
from soundpost.wire.handshake import wants_websocket

if TYPE_CHECKING:
    from soundpost.server.server import Server

_CLOSE_FRAME: Final = 0x80 | CLOSE
_read_whole: Final = read_whole  # compiled code reads a constant of its own module much faster
_ON_ITS_WAY: Final = 1  # seconds for which a first request may be on its way; a stop does not wait longer
_SMALL_READ: Final = 2_048  # bytes of requests that are parsed at once, without waiting for a turn
_MAX_WHOLE: Final = 16_384  # bytes that are taken for one request first, when their turn has come


@mypyc_attr(allow_interpreted_subclasses=True)
class HttpConnection(HttpResponder):
    """An HTTP connection. Requests are answered in order, a publish after its events were sent."""

    __slots__ = (
        "_began",
        "_blocked",
        "_has_asked",
        "_reader",
        "_replay",
        "_upgrade_request",
        "slot",
    )

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._began = server.wheel.now  # of the wait for a request, while there is no reader
        self._reader: RequestReader | None = None  # made for the first request that is not read in one call
        self._upgrade_request: Request | None = None
        self._replay = b""  # head of a request whose upgrade is not granted, without the upgrade
        self._has_asked = False
        self._blocked = False  # the client does not read its answers
        self.slot = -1

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and wait for its first request."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self._server.http_connections.add(self)
        self.over_capacity = not self._server.sockets.opened(self)
        self._server.wheel.add(self, self._server.request_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle requests that have come, each in its turn, then forget the connection: its socket is gone."""
        self._is_lost = True
        self._server.wheel.remove(self)
        self._server.lingering.forget(self)
        self._resume()

    def _forget(self) -> None:
        self._server.sockets.closed(self)
        self._server.http_connections.discard(self)
        self._ending = True
        self._close_reader()
        if self.upgrade is not None:
            self.upgrade.open_if_answered()

    def eof_received(self) -> bool:
        """Close once all requests are answered; return whether some are not (TLS cannot stay half open)."""
        self._asks_no_more = bool(self._responses or self._unread) and self.transport.can_write_eof()
        return self._asks_no_more

    def pause_writing(self) -> None:
        """Read no further requests: the client does not read its answers."""
        self._blocked = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read requests again: the client has read its answers."""
        self._blocked = False
        self._resume()

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests: handle few at once, queue many."""
        if self.upgrade is not None:
            self.upgrade.early += data
            self.transport.pause_reading()
            return
        if self._server.stopped:
            self.transport.abort()  # its client, or the proxy in front, turns to another server
            return
        if self._ending:
            if data[0] == _CLOSE_FRAME:  # of a refused WebSocket: the client has the reason
                self.transport.close()
            elif len(data) >= LARGE_READ:
                self.transport.pause_reading()
                if self._server.lingering.may_read_more(self, len(data)):
                    self._wait_for_turn()
            return
        is_first, is_small = not self._unread, len(data) <= _SMALL_READ
        has_time = (self._has_asked and is_small) or self._server.fair_queue.has_time()
        if is_first and has_time and not self._responses and (whole := self._whole_in(data)) is not None:
            self._take(whole)
            if self._responses:
                self._server.node.after_sending(self._send_responses)
            return
        self._unread += data
        if is_first and is_small and not has_time:
            self._queue()  # very many clients connect at once; reading goes on, as most send no more for now
        elif not (is_first and is_small and _is_little(data)) and not self._server.fair_queue.has_time():
            self._wait_for_turn()
        elif not self._is_queued:
            self._parse()

    @property
    def _has_to_wait(self) -> bool:
        """True while no further request may be handled: one waits for other nodes, or many for their answers."""
        return self._pending > 0 or len(self._responses) >= SLICE

    def work(self) -> None:
        """Parse some of the unread bytes, and answer the requests in them."""
        self._is_queued = False
        if len(self._unread) <= _MAX_WHOLE and not self._responses:
            whole = self._whole_in(bytes(self._unread))
            if whole is not None:
                self._unread.clear()
                self._take(whole)
        self._parse()

    def _parse(self) -> None:
        steps = SLICE
        while self._unread and steps and not self._ending and not self._has_to_wait:
            size = self._reader_made().next_size(self._unread)
            data = bytes(self._unread[:size])
            del self._unread[:size]
            self._feed(data)
            steps -= 1
        if self._responses:
            self._server.node.after_sending(self._send_responses)
        self._resume()

    def _resume(self) -> None:
        """Continue to parse or read, unless the connection waits for its turn, for answers, or for a slow client."""
        if self._ending:
            self._unread.clear()
        if self._is_queued:
            return
        if self._is_lost:
            if not self._unread:
                self._forget()
            elif not self._responses:
                self._queue()
            return
        if self._blocked or self.upgrade is not None or self.transport.get_protocol() is not self:
            return
        if not self._unread:
            if self._asks_no_more and not self._responses:
                self.transport.close()
            self.transport.resume_reading()
        elif self._responses:
            self.transport.pause_reading()
        else:
            self._wait_for_turn()

    def _wait_for_turn(self) -> None:
        self.transport.pause_reading()
        self._queue()

    def _queue(self) -> None:
        if not self._is_queued:
            self._is_queued = True
            self._server.fair_queue.add(self)

    def _whole_in(self, data: bytes) -> WholeRequest | None:
        """Return the request if the bytes are exactly one of a usual form, and no reader has the beginning of one."""
        if self._reader is not None and not self._reader.is_between:
            return None
        return _read_whole(data, self._server.max_head_size, self._server.max_request_size)

    def _take(self, whole: WholeRequest) -> None:
        """Handle a request that was read without a reader."""
        method, path, query, head, body, keep_alive, wants_upgrade, key, handshake = whole
        self._begin_time()
        request = Request(method, (path, query), "1.1", head, body, keep_alive, key, handshake)
        if self._has_asked and not wants_upgrade and not self._ending:
            self._answer(request)
            return
        self.request_read(request, wants_upgrade)
        if wants_upgrade and not self._ending:
            begin_upgrade(self._server, self, request, b"")

    def _begin_time(self) -> None:
        self._began = self._server.wheel.now
        if self._reader is not None:
            self._reader.began = self._began

    def _reader_made(self) -> RequestReader:
        if self._reader is None:
            server = self._server
            self._reader = RequestReader(self, server.settings, server.wheel, self._began, not self._has_asked)
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    @property
    def _in_request(self) -> bool:
        """True while a request comes in, and for a new connection."""
        return not self._has_asked if self._reader is None else self._reader.in_request

    @property
    def _since(self) -> int:
        """Seconds of the timer wheel at which the request began, or the wait for it."""
        return self._began if self._reader is None else self._reader.began

    def _feed(self, data: bytes) -> None:
        """Feed the reader. A head with an upgrade that is not granted becomes unread again, without the upgrade."""
        try:
            rest = self._reader_made().feed(data)
        except ApiError as error:
            if not self._ending:
                self.refuse(self._server.wrong_protocol.explain_bytes(self.transport, data) or error)
            return
        if rest is None:
            return
        if self._upgrade_request is None:
            self._reader_made().read_on()
            head, self._replay = self._replay, b""
            self._unread[:0] = head + rest
        elif not self._ending:
            rest += self._unread
            self._unread.clear()
            begin_upgrade(self._server, self, self._upgrade_request, rest)

    def request_read(self, request: Request, wants_upgrade: bool) -> None:
        """Answer a request, or note that it asks for a WebSocket."""
        if self._ending:
            return
        if not self._has_asked:
            self._has_asked = True
            if request.handshake is None:  # else a WebSocket opens at once, as a rule
                self._server.sockets.asked(self)
        if not wants_upgrade or request.method == b"CONNECT":
            self._answer(request)
        elif request.handshake is not None or wants_websocket(request.headers()):
            self._upgrade_request = request
        else:
            # Java's HttpClient offers h2c with every request. The parser takes no body after an upgrade.
            self._replay = request.head_without(b"upgrade", b"expect")

    # The end of the connection as one of HTTP

    @property
    def is_busy(self) -> bool:
        """True while a request comes in, or may be on its way to a new connection, or its answer is not sent yet."""
        return (
            (self._reader is not None and self._reader.size > 0)
            or bool(self._unread)
            or bool(self._responses)
            or self.upgrade is not None
            or self.transport.get_write_buffer_size() > 0
            or (self._in_request and self._server.wheel.now - self._since <= _ON_ITS_WAY)
        )

    def close_if_idle(self) -> None:
        """Close now, or after the answer to a request that is under way."""
        if not self.is_busy and not self._ending:
            self._ending = True
            self.transport.close()

    def _end_output(self) -> None:
        """End the output behind the last answer. TLS has no end of output, but that of the connection.

        A client that still sends has time to close its side first: closing at once would lose the answer on its way.
        The client has ``close_timeout`` seconds to close the connection.
        """
        if self.transport.can_write_eof():
            self.transport.write_eof()
        elif not self._awaits_close_frame and (self._reader is None or self._reader.is_between):
            self.transport.close()
        self._server.wheel.add(self, self._server.settings.close_timeout)
        self._server.sockets.answered(self)

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """Give the transport to another protocol."""
        self._server.wheel.remove(self)
        self._server.http_connections.discard(self)
        self._server.sockets.kept(self)
        self._ending = True
        self._close_reader()
        self.transport.set_protocol(protocol)
        self.transport.resume_reading()

    # Time

    def on_time(self, now: int) -> int:
        """Close the connection of a late client: a request or the close did not come in time."""
        settings = self._server.settings
        if self._ending:
            self.transport.abort()
            return 0
        if self._is_queued or self._pending:
            return 1  # the server is late, not the client
        limit = settings.request_timeout if self._in_request else settings.keep_alive_timeout
        left = self._since + limit - now
        if left > 0:
            return min(left, settings.request_timeout)
        if not self._in_request:
            self._ending = True
            self.transport.close()
            return settings.close_timeout  # time to read input that is on its way
        self.refuse(ApiError(408, f"The request was not complete after {limit} s (request_timeout)"))
        return settings.close_timeout


def _is_little(data: bytes) -> bool:
    """Return whether bytes have so few requests, headers and chunks that they need not wait for a turn."""
    return data.count(b"\r\n\r\n") <= 2 and data.count(b"\n") <= 64

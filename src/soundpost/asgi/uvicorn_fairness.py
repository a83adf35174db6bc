"""Fairness under uvicorn: the input of one client is parsed a piece at a time, in turn with the input of others.

uvicorn by itself parses everything that a loop turn has read from a client, up to 8 MB, before it calls an application.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final, cast

from soundpost.server.connections.fair_queue import FairQueue

PIECE: Final = 1_024
"""Bytes of a WebSocket that uvicorn parses before others have their turn: 146 of the smallest frames, some 1 ms."""
LARGE_PIECE: Final = 16_384
"""Bytes of a request's body that uvicorn parses at once."""
CHUNKED_PIECE: Final = 4_096
"""Bytes that uvicorn parses at once if neither a length nor a blank line says where a request may end."""
MAX_UNREAD: Final = 1_048_576
"""Bytes of output that a WebSocket's client may leave unread before its next frames are parsed."""
_END_OF_HEAD: Final = b"\r\n\r\n"
_CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
_TRANSFER_ENCODING: Final = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)

CallSoon = Callable[[Callable[[], None]], object]
"""The type of a loop's ``call_soon``."""


def make_uvicorn_fair(receive: object) -> None:
    """Wrap the connections that uvicorn accepts from now on; do nothing under other servers.

    ``receive`` is the callable that the application got for a lifespan or a WebSocket.
    """
    config: Any = getattr(getattr(receive, "__self__", None), "config", None)
    if type(config).__module__ != "uvicorn.config":
        return
    if not isinstance(config.http_protocol_class, _FairProtocols):
        config.http_protocol_class = _FairProtocols(config.http_protocol_class)


class _FairProtocols:
    """The protocols of a uvicorn server: makes a :class:`FairProtocol` around each."""

    def __init__(self, protocol_class: type[asyncio.Protocol]) -> None:
        self._protocol_class = protocol_class
        self._loop: asyncio.AbstractEventLoop | None = None
        self._call_soon: CallSoon
        self._queue: FairQueue

    def __call__(self, **options: Any) -> FairProtocol:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            # In a context of its own: nothing of one request may be seen in the next one.
            self._call_soon = partial(loop.call_soon, context=Context())
            self._queue = FairQueue(self._call_soon)
        return FairProtocol(self._protocol_class, self._queue, self._call_soon, **options)


class FairProtocol(asyncio.Protocol):
    """A protocol between a transport and uvicorn's protocol (HTTP, or WebSocket after an upgrade).

    ``options`` are the arguments of uvicorn's protocol. Nothing is parsed while uvicorn has paused reading, nor for a
    WebSocket whose client does not read what it is sent.
    """

    def __init__(
        self, protocol_class: type[asyncio.Protocol], queue: FairQueue, call_soon: CallSoon, **options: Any
    ) -> None:
        self.inner = protocol_class(**options)
        self.is_lost = False
        """True once the transport has lost its connection."""
        self._has_ended = False  # uvicorn knows that it is lost
        self._queue = queue
        self._call_soon = call_soon
        self._queued = False
        self._waiting = bytearray()
        self._body_left = 0  # bytes of a request's body that are still to come
        self._paused = False  # by uvicorn
        self._write_paused = False
        self._has_eof = False  # reported to uvicorn once it has parsed the input before
        self._lost_by: Exception | None = None
        self._context = copy_context()
        self._transport: asyncio.Transport

    # What the transport reports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give uvicorn a transport whose reading this protocol controls."""
        self._transport = cast("asyncio.Transport", transport)
        self.inner.connection_made(cast("asyncio.Transport", _Transport(self, self._transport)))

    def data_received(self, data: bytes) -> None:
        """Have a small read parsed if this loop turn has time left; put other reads in the queue."""
        if not self._waiting and self._may_parse and self._size(data) == len(data) and self._queue.has_time():
            self._parse(data)
            return
        self._waiting += data
        self._transport.pause_reading()
        self._enqueue()

    def eof_received(self) -> bool | None:
        """Report the end of input after what came before. With TLS one read may bring both."""
        if self._waiting:
            self._has_eof = True
            return False
        return self.inner.eof_received()

    def pause_writing(self) -> None:
        """Report that the client reads slowly."""
        self._write_paused = True
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Report that the client has read, and go on parsing."""
        self._write_paused = False
        self._enqueue()
        self.inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss after what came before, which is parsed as it would be without this protocol."""
        self.is_lost = True
        self._lost_by = exc
        if self._waiting:
            self._enqueue()
        else:
            self._end()

    # What uvicorn asks of the transport

    def pause(self) -> None:
        """Parse and read no more."""
        self._paused = True
        if not self.is_lost:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Resume with waiting input, then with reading."""
        self._paused = False
        self._enqueue()

    # In turn

    @property
    def _is_http(self) -> bool:
        """True before an upgrade: uvicorn's protocols for HTTP have the cycle of the last request."""
        return hasattr(self.inner, "cycle")

    @property
    def _may_parse(self) -> bool:
        if self.is_lost:
            return True
        if self._paused:
            return False
        return not self._write_paused or self._is_http or self._transport.get_write_buffer_size() <= MAX_UNREAD

    def _size(self, data: bytes | bytearray) -> int:
        """Return how many bytes to have parsed at once: of HTTP no more than one request, or a part of its body.

        A body without Content-Length is parsed up to the next blank line, where a request may end.
        """
        if not self._is_http:
            return min(len(data), PIECE)
        if self._body_left:
            return min(len(data), self._body_left, LARGE_PIECE)
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if end < len(_END_OF_HEAD):
            return min(len(data), CHUNKED_PIECE)
        if end < len(data) <= PIECE and len(data) - end <= _body_size(data[:end]):
            return len(data)  # with its small body
        return end

    def _parse(self, data: bytes) -> None:
        """Have uvicorn parse input, in a context of this connection: requests begin with a copy of it."""
        if self._body_left:
            self._body_left -= len(data)
        elif self._is_http:
            head, end, body = data.partition(_END_OF_HEAD)
            self._body_left = _body_size(head + end) - len(body) if end else 0
        self._context.copy().run(self.inner.data_received, data)

    def _enqueue(self) -> None:
        if not self._queued:
            self._queued = True
            self._queue.add(self)

    def work(self) -> None:
        """Have a piece parsed; resume reading, or report the end, when no input waits any more."""
        self._queued = False
        if self._transport.is_closing() and not self._has_eof and not self.is_lost:  # by uvicorn
            self._waiting.clear()
            return
        if self._waiting and self._may_parse:
            size = self._size(self._waiting)
            piece = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._parse(piece)
            if not self._waiting:
                self._call_soon(self._continue)  # a turn later, when a request that was parsed has begun
                return
        if self._waiting and self._may_parse:
            self._enqueue()
        else:
            self._continue()

    def _continue(self) -> None:
        """Read on, or report the end, unless input waits."""
        if self._waiting or self._has_ended:
            return
        if self.is_lost:
            self._end()
        elif self._has_eof:
            self._has_eof = False
            self.inner.eof_received()
        elif self._may_parse and not self._transport.is_closing():
            self._transport.resume_reading()

    def _end(self) -> None:
        self._has_ended = True
        self._waiting.clear()
        if self._has_eof:
            self.inner.eof_received()
        self.inner.connection_lost(self._lost_by)

    def abort(self) -> None:
        """Drop the connection: uvicorn could not handle its input."""
        self._waiting.clear()
        if not self.is_lost:
            self._transport.abort()
        elif not self._has_ended:
            self._end()


def _body_size(head: bytes | bytearray) -> int:
    """Return the Content-Length in a request's head; 0 without one, and for a body in chunks."""
    match = _CONTENT_LENGTH.search(head)
    return 0 if match is None or _TRANSFER_ENCODING.search(head) else int(match[1])


class _Transport:
    """A transport as uvicorn sees the transport: reading is paused and resumed by the protocol in between."""

    def __init__(self, protocol: FairProtocol, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self._transport = transport
        self.pause_reading = protocol.pause
        self.resume_reading = protocol.resume

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write data, unless the connection is lost: answers to earlier input may still come then."""
        if not self._protocol.is_lost:
            self._transport.write(data)

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """Hand the connection over to the protocol for WebSockets."""
        self._protocol.inner = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that has the connection."""
        return self._protocol.inner

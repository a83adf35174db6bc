"""Fairness under uvicorn: the input of one client is parsed a piece at a time, in turn with that of others.

uvicorn by itself parses all that a loop turn has read from a client, up to 8 MB, before it calls the application.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, cast

from soundpost.server.connections.fair_queue import FairQueue

PIECE: Final = 1_024
"""Bytes of one client that uvicorn parses before others have their turn: 146 of the smallest frames, some 1 ms."""
_END_OF_HEAD: Final = b"\r\n\r\n"


def make_uvicorn_fair(receive: object) -> None:
    """Wrap all further connections of uvicorn, if ``receive`` (of a lifespan or a WebSocket) is uvicorn's.

    Other ASGI servers are left alone.
    """
    config: Any = getattr(getattr(receive, "__self__", None), "config", None)
    if type(config).__module__ != "uvicorn.config":
        return
    protocol = config.http_protocol_class
    if getattr(protocol, "func", None) is not FairProtocol:
        queue = FairQueue(asyncio.get_running_loop().call_soon)
        config.http_protocol_class = partial(FairProtocol, protocol, queue)


class FairProtocol(asyncio.Protocol):
    """A protocol between a transport and uvicorn's own protocol (HTTP, after an upgrade WebSocket).

    Nothing is parsed while uvicorn has paused reading, or the client does not read its answers. ``options`` are those
    of ``protocol_class``.
    """

    def __init__(self, protocol_class: type[asyncio.Protocol], queue: FairQueue, **options: Any) -> None:
        self.inner = protocol_class(**options)
        self._queue = queue
        self._queued = False
        self._waiting = bytearray()
        self._is_http = True
        self._paused = False  # by uvicorn
        self._blocked = False  # the client does not read
        self._transport: asyncio.Transport

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass the event on, with a transport whose reading this protocol controls."""
        self._transport = cast("asyncio.Transport", transport)
        self.inner.connection_made(cast("asyncio.Transport", _Transport(self, self._transport)))

    def data_received(self, data: bytes) -> None:
        """Have a small read parsed if this loop turn has time left; put other reads in the queue."""
        if not self._waiting and len(data) == self._piece(data) and self._may_parse and self._queue.has_time():
            self.inner.data_received(data)
            return
        self._waiting += data
        self._transport.pause_reading()
        self._enqueue()

    def eof_received(self) -> bool | None:
        """Pass the event on; all earlier input was parsed, as nothing is read while something waits."""
        return self.inner.eof_received()

    def pause_writing(self) -> None:
        """Parse no more until the client reads."""
        self._blocked = True
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Parse again, as the client reads."""
        self._blocked = False
        self._enqueue()
        self.inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the event on; drop input that waits, as it could not be answered."""
        self._waiting.clear()
        self.inner.connection_lost(exc)

    # Called by uvicorn

    def pause(self) -> None:
        """Parse and read no more."""
        self._paused = True
        self._transport.pause_reading()

    def resume(self) -> None:
        """Parse what waits, then read again."""
        self._paused = False
        self._enqueue()

    def upgraded(self, protocol: asyncio.Protocol) -> None:
        """Replace uvicorn's protocol for HTTP by its protocol for WebSockets."""
        self.inner = protocol
        self._is_http = False

    # Queue

    @property
    def _may_parse(self) -> bool:
        return not self._paused and not self._blocked

    def _piece(self, data: bytes | bytearray) -> int:
        """Return how many bytes to parse at once: PIECE at most, and no more than one whole request head."""
        if self._is_http:
            end = data.find(_END_OF_HEAD, 0, PIECE) + len(_END_OF_HEAD)
            if end >= len(_END_OF_HEAD):
                return end
        return min(len(data), PIECE)

    def _enqueue(self) -> None:
        if not self._queued:
            self._queued = True
            self._queue.add(self)

    def work(self) -> None:
        """Have a piece parsed; read again when nothing waits any more."""
        self._queued = False
        if self._waiting and self._may_parse:
            size = self._piece(self._waiting)
            piece = bytes(self._waiting[:size])
            del self._waiting[:size]
            self.inner.data_received(piece)
        if self._transport.is_closing():
            self._waiting.clear()
        elif self._waiting and self._may_parse:
            self._enqueue()
        elif self._may_parse:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection: uvicorn could not handle the input."""
        self._waiting.clear()
        self._transport.abort()


class _Transport:
    """A transport for uvicorn that pauses and resumes reading through :class:`FairProtocol`."""

    def __init__(self, protocol: FairProtocol, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self._transport = transport
        self.pause_reading = protocol.pause
        self.resume_reading = protocol.resume

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """Hand the connection to the protocol for WebSockets."""
        self._protocol.upgraded(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return uvicorn's protocol, which has the connection."""
        return self._protocol.inner

"""Parsing of HTTP/1.1 requests by llhttp, within the limits for head and body."""

from __future__ import annotations

from typing import Any, Final, Protocol

import httptools

from soundpost.config.settings import ServerSettings
from soundpost.server.api.requests import ApiError, Request
from soundpost.server.connections.timer_wheel import TimerWheel

_CHUNK_OVERHEAD: Final = 8  # times its own size: the most that a body in chunks of one byte takes
_STEP: Final = 512  # most bytes of heads and chunks that the parser gets at a time
_END: Final = b"\r\n\r\n"  # behind every head, and behind the last chunk of a body


class RequestReceiver(Protocol):
    """The receiver of requests, called within :meth:`RequestReader.feed`."""

    def request_read(self, request: Request, wants_upgrade: bool) -> None:
        """Take a whole request. No bytes are parsed behind one with an upgrade."""

    def continue_expected(self) -> None:
        """Send ``100 Continue``: the client waits for it before it sends the body."""

    def refuse(self, error: ApiError) -> None:
        """Answer with an error, as the last answer. Further calls may follow, and are to be ignored."""


class RequestReader:
    """A reader of the requests of one connection. llhttp calls the ``on_…`` methods."""

    __slots__ = (
        "_announced",
        "_body",
        "_body_size",
        "_headers",
        "_idempotency_key",
        "_parser",
        "_receiver",
        "_settings",
        "_tail",
        "_target",
        "_wheel",
        "began",
        "in_body",
        "in_request",
        "size",
    )

    __deletable__ = ("_parser", "_receiver")  # mypyc asks for the names

    def __init__(
        self, receiver: RequestReceiver, settings: ServerSettings, wheel: TimerWheel, began: int, in_request: bool
    ) -> None:
        self._receiver = receiver
        self._settings = settings
        self._wheel = wheel
        self._parser = httptools.HttpRequestParser(self)
        self.in_request = in_request
        """True while a request comes in, and for a new connection: silence is as late as a slow request."""
        self.in_body = False
        self.began = began
        """Seconds of the timer wheel at which the request began, or the wait for it."""
        self.size = 0
        """Bytes of the request that comes in, as far as they are known to belong to it."""
        self._body_size = 0
        self._announced = 0  # bytes of the body, by Content-Length
        self._tail = b""  # last bytes of a head or of chunks: an end may have begun
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._idempotency_key: bytes | None = None
        self._body: bytes | bytearray = b""

    def feed(self, data: bytes) -> bytes | None:
        """Parse bytes; return those behind a request with an upgrade, None if there was none.

        Raises ApiError for bytes that are not an HTTP request.
        """
        self.size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as at:
            return data[at.args[0] :]
        except httptools.HttpParserError as error:
            raise ApiError(400, f"Not an HTTP/1.1 request this server understands: {error}") from None
        if not self.size:
            return None
        self._tail = data[-3:] if len(data) > 2 else (self._tail + data)[-3:]
        if not self.in_body:
            self._check_head_size(self.size)
        elif self.size > self._settings.max_head_size + _CHUNK_OVERHEAD * self._settings.max_request_size:
            self._check_body_size(self.size)  # endless trailers, which the parser would collect
        return None

    def next_size(self, data: bytearray) -> int:
        """Return how many bytes of ``data`` to :meth:`feed` next: none of a further request.

        The parser cannot be stopped between two requests.
        """
        if self._announced:
            return self._announced - self._body_size
        tail = len(self._tail)
        end = (self._tail + bytes(data[:_STEP])).find(_END) if tail else data.find(_END, 1, _STEP)  # at 0: empty lines
        return _STEP if end < 0 else end + len(_END) - tail

    @property
    def is_between(self) -> bool:
        """True between two requests, when not a byte of the next has come."""
        return not self.size and not self.in_request

    def read_on(self) -> None:
        """Parse HTTP again behind a request whose upgrade is not granted."""
        self._parser = httptools.HttpRequestParser(self)

    def close(self) -> None:
        """Drop parser and receiver: a cycle of the three would wait for the garbage collector."""
        del self._parser, self._receiver

    # Called by llhttp

    def on_message_begin(self) -> None:
        """Note the first byte of a request."""
        if not self.in_request:
            self.in_request = True
            self.began = self._wheel.now

    def on_url(self, url: bytes) -> None:
        """Take the request target, or a part of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; ignore trailers, which come after the body."""
        if not self.in_body:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head, and refuse too large a body before it comes."""
        self.in_body = True
        head_size = len(self._target)
        waits = False
        hosts = 0
        for name, value in self._headers:
            size = len(name)
            head_size += size + len(value) + 4
            if size == 4:
                hosts += name.lower() == b"host"
            elif size == 14 and name.lower() == b"content-length":
                self._announced = int(value)
                self._check_body_size(self._announced)
            elif size == 6 and name.lower() == b"expect" and value.lower() == b"100-continue":
                waits = True
            elif size == 15 and name.lower() == b"idempotency-key":
                key = self._idempotency_key
                self._idempotency_key = value if key is None else key + b", " + value
        self._check_head_size(head_size)
        if hosts != 1 and (hosts or self._parser.get_http_version() not in ("0.9", "1.0")):
            what = "two Host headers" if hosts else "no Host header"
            self._receiver.refuse(
                ApiError(400, f"The request has {what}: HTTP/1.1 requires exactly one (RFC 9112, 3.2)")
            )
        if waits:
            self._receiver.continue_expected()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body_size += len(body)
        self._check_body_size(self._body_size)
        if not self._body:
            self._body = body
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += body

    def on_message_complete(self) -> None:
        """Hand a whole request to the receiver."""
        parser = self._parser
        version = parser.get_http_version()
        request = Request(
            parser.get_method(),
            _origin_form(self._target),
            version,
            self._headers,
            bytes(self._body),
            parser.should_keep_alive() and version == "1.1",  # 1.0 would need a header
            self._idempotency_key,
        )
        self._target, self._headers, self._body = b"", [], b""
        self._tail = b""
        self._idempotency_key = None
        self.size = self._body_size = self._announced = 0
        self.in_request = self.in_body = False
        self.began = self._wheel.now
        self._receiver.request_read(request, parser.should_upgrade())

    def _check_head_size(self, size: int) -> None:
        limit = self._settings.max_head_size
        if size > limit:
            self._receiver.refuse(ApiError(431, f"Request head over {limit} bytes (max_head_size)"))

    def _check_body_size(self, size: int) -> None:
        limit = self._settings.max_request_size
        if size > limit:
            self._receiver.refuse(
                ApiError(
                    413, f"Payload too large: a body of {size} bytes or more, {limit} are allowed (max_request_size)"
                )
            )


def _origin_form(target: bytes) -> bytes:
    """Return ``/path?query`` of a request target, also of one that names scheme and host (RFC 9112, 3.2)."""
    if target.startswith(b"/"):
        return target
    try:
        url: Any = httptools.parse_url(target)  # a part that is missing is None, whatever the types of httptools say
    except httptools.HttpParserInvalidURLError:
        return target
    return (url.path or b"/") + (b"?" + url.query if url.query else b"")

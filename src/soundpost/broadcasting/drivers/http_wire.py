"""HTTP/1.1 (RFC 9112) as far as publishing needs it: requests as bytes, and answers from bytes, without a socket.

A general HTTP client takes five to ten times as much CPU for each request. The page Performance
of the documentation has the measurements.

The limits below bound the cost of an answer, for all that read one; each is far above the answers of an API. The time
that an answer may take is the caller's to bound. An answer beyond a limit is refused with NotHttpError.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import httptools

MAX_HEAD: Final = 65_536
"""Bytes of status lines, headers and trailers, those of interim answers included."""
MAX_HEADERS: Final = 100
"""Headers and trailers, those of interim answers included."""
MAX_ANSWER: Final = 1_048_576
"""Bytes of a body."""
MAX_RECEIVED: Final = 2 * MAX_ANSWER
"""Bytes of a whole answer, chunk lengths and their extensions included."""
READ_SIZE: Final = 65_536
"""Bytes of one read from a socket."""


class NotHttpError(Exception):
    """The bytes received are no answer in HTTP, or one that exceeds a limit."""


class HttpAnswer(NamedTuple):
    """An answer; ``headers`` is keyed by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes


def request_bytes(method: str, target: str, host: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return a request for ``target``, the path with its query, on a connection that is to be kept."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: soundpost\r\n{more}"
    if body or method != "GET":
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode("latin-1") + body


class AnswerReader:
    """Reads one answer: ``answer`` is None until all bytes of it have come. Bytes that follow are not read."""

    def __init__(self) -> None:
        self.answer: HttpAnswer | None = None
        self.keeps_alive = False
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._head_is_over = False
        self._received = 0
        self._head_size = 0
        self._header_count = 0
        self._fault: NotHttpError | None = None
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come. Raises NotHttpError."""
        if self.answer is not None:
            self.keeps_alive = False  # the server speaks unasked
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fault = self._fault or NotHttpError("the server wants to speak something else than HTTP")
        except httptools.HttpParserError:
            self._fault = self._fault or NotHttpError(f"illegal status line or header in {data[:40]!r}")
        if self.answer is not None:
            return
        # The parser reports no line before its end, so the bytes of an endless line are counted here only.
        if self._received > (MAX_RECEIVED if self._head_is_over else MAX_HEAD + READ_SIZE):
            self._fault = self._fault or NotHttpError(f"an answer of more than {self._received:,} bytes without an end")
        if self._fault is not None:
            raise self._fault

    def end(self) -> None:
        """Take note that the server has closed the connection. Raises EOFError if the answer is not complete."""
        has_length = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self.answer is None and self._head_is_over and not has_length:
            self._complete()
        if self.answer is None:
            raise EOFError("the connection was closed before the answer")

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Begin an answer: the first, the one after an interim answer, or one that no request asked for."""
        if self.answer is not None:
            self.keeps_alive = False
            self._refuse("more than one answer")
        self._headers = {}
        self._head_is_over = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header or trailer."""
        self._header_count += 1
        self._head_size += len(name) + len(value)
        if self._header_count > MAX_HEADERS:
            self._refuse(f"an answer with more than {MAX_HEADERS} headers")
        if self._head_size > MAX_HEAD:
            self._refuse(f"an answer with more than {MAX_HEAD:,} bytes of headers")
        if not self._head_is_over:  # trailers are of no use to the callers
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Take note that all headers have come."""
        self._head_is_over = self._parser.get_status_code() >= 200

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if len(self._body) + len(data) > MAX_ANSWER:
            self._refuse(f"an answer of more than {MAX_ANSWER:,} bytes")
        self._body += data

    def on_message_complete(self) -> None:
        """Take note that an answer is complete; an interim answer (100, 103) is passed over."""
        if self.answer is None and self._parser.get_status_code() >= 200:
            self.keeps_alive = self._parser.should_keep_alive()
            self._complete()

    def _complete(self) -> None:
        self.answer = HttpAnswer(self._parser.get_status_code(), self._headers, bytes(self._body))

    def _refuse(self, why: str) -> None:
        """Stop the parser, which wraps the exception in one of its own."""
        self._fault = NotHttpError(why)
        raise self._fault

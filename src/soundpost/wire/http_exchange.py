"""HTTP/1.1 (RFC 9112) as far as publishing and webhooks need it: requests as bytes, answers from bytes, no socket.

A general HTTP client takes five to ten times as much CPU for each request. The page Performance
of the documentation has the measurements.

The limits below bound the cost of an answer, for all that read one; each is far above the answers of an API. The time
that an answer may take is the caller's to bound. An answer beyond a limit is refused with NotHttpError.
"""

from __future__ import annotations

from collections.abc import Mapping
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
MAX_UNREAD: Final = 65_536
"""Bytes of a body that nobody reads, which are awaited so that its connection can be kept."""
READ_SIZE: Final = 65_536
"""Bytes of one read from a socket."""


class NotHttpError(Exception):
    """The received bytes are not an HTTP answer, or the answer exceeds a limit."""


class HttpAnswer(NamedTuple):
    """An answer; ``headers`` is keyed by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes


def host_header(host: str, port: int, *, is_tls: bool) -> str:
    """Return the value of the header ``Host``: without the port where it is the scheme's own."""
    host = f"[{host}]" if ":" in host else host
    return host if port == (443 if is_tls else 80) else f"{host}:{port}"


def request_bytes(method: str, target: str, host: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a request on a connection that is to be kept.

    ``target`` is the path with its query, ``host`` the value of the header ``Host``; ``headers`` are the other ones,
    without ``Content-Length``. Raises ValueError for a header with a line break in it.
    """
    more = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not more.count("\r") == more.count("\n") == len(headers):
        raise ValueError("a header has a line break in it")
    length = f"Content-Length: {len(body)}\r\n" if body or method != "GET" else ""
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}{length}\r\n".encode("latin-1") + body


class AnswerReader:
    """Reads one answer: ``answer`` is None until all bytes of it have come. Bytes that follow are not read."""

    def __init__(self) -> None:
        self.head: HttpAnswer | None = None
        """The answer without its body, as soon as all headers have come."""
        self.answer: HttpAnswer | None = None
        self.keeps_alive = False
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._received = 0
        self._head_size = 0
        self._header_count = 0
        self._fault: NotHttpError | None = None
        self._parser = httptools.HttpResponseParser(self)

    @property
    def has_begun(self) -> bool:
        """True after the first byte, which may be one of an interim answer."""
        return self._received > 0

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
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # in a callback, which the parser hides
                raise error.__context__ from None
            self._fault = self._fault or self._illegal(error, data)
        if self.answer is not None:
            return
        # The parser reports no line before its end, so the bytes of an endless line are counted here only.
        if self._received > (MAX_RECEIVED if self.head is not None else MAX_HEAD + READ_SIZE):
            self._fault = self._fault or NotHttpError(f"an answer of more than {self._received:,} bytes without an end")
        if self._fault is not None:
            raise self._fault

    def end(self) -> None:
        """Take note that the server has closed the connection. Raises EOFError if the answer is not complete."""
        has_length = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self.answer is None and self.head is not None and not has_length:
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

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header or trailer."""
        self._header_count += 1
        self._head_size += len(name) + len(value)
        if self._header_count > MAX_HEADERS:
            self._refuse(f"an answer with more than {MAX_HEADERS} headers")
        if self._head_size > MAX_HEAD:
            self._refuse(f"an answer with more than {MAX_HEAD:,} bytes of headers")
        if self.head is None:  # trailers are of no use to the callers
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Take note that all headers have come."""
        status = self._parser.get_status_code()
        if status >= 200:
            self.head = HttpAnswer(status, self._headers, b"")

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if len(self._body) + len(data) > MAX_ANSWER:
            self._refuse(f"an answer of more than {MAX_ANSWER:,} bytes")
        self._body += data

    def on_message_complete(self) -> None:
        """Take note that an answer is complete; an interim answer (100, 103) is passed over."""
        if self.answer is None and self.head is not None:
            self.keeps_alive = self._parser.should_keep_alive()
            self._complete()

    def _complete(self) -> None:
        assert self.head is not None
        self.answer = HttpAnswer(self.head.status, self.head.headers, bytes(self._body))

    def _illegal(self, error: httptools.HttpParserError, data: bytes) -> NotHttpError:
        if isinstance(error, httptools.HttpParserInvalidStatusError) or not self._parser.get_status_code():
            return NotHttpError(f"illegal status line in {data[:40]!r}")
        return NotHttpError(f"an answer that breaks the rules of HTTP: {error}")

    def _refuse(self, why: str) -> None:
        """Stop the parser, which wraps the exception in one of its own."""
        self._fault = NotHttpError(why)
        raise self._fault


class HeadReader(AnswerReader):
    """Reads one answer for its status and headers. The body is dropped, and not awaited after ``MAX_UNREAD`` bytes.

    Answers are taken that browsers take too: lines that end with LF alone (RFC 9112, 2.2), folded headers (5.2), a
    length beside ``Transfer-Encoding`` (6.1).
    """

    def __init__(self) -> None:
        super().__init__()
        self._dropped = 0
        if hasattr(self._parser, "set_dangerous_leniencies"):  # since httptools 0.7
            self._parser.set_dangerous_leniencies(
                lenient_headers=True, lenient_chunked_length=True, lenient_optional_cr_before_lf=True
            )

    def on_body(self, data: bytes) -> None:
        """Drop a part of the body."""
        self._dropped += len(data)
        if self._dropped > MAX_UNREAD:
            self._complete()
            self._refuse(f"a body of more than {MAX_UNREAD:,} bytes")

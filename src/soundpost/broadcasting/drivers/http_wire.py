"""HTTP/1.1 as far as it takes to publish: requests as bytes, and answers from bytes. No input and output here.

An HTTP client for everything takes five to ten times the CPU of this for each request (docs/performance.md).

What an answer may cost is bounded here, for all that read one: by the limits below, each far above what an API answers,
and by the time that the reader's caller sets. An answer beyond them is refused with NotHttpError.
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
"""Bytes of a whole answer: what else there may be, chunk lengths and their extensions above all, is bounded with it."""
READ_SIZE: Final = 65_536


class NotHttpError(Exception):
    """What came is no answer in HTTP, or one that exceeds a limit."""


class HttpAnswer(NamedTuple):
    """``headers`` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes


def request_bytes(method: str, target: str, host: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A request for ``target``, the path with its query. The connection is to be kept."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: soundpost\r\n{more}"
    if body or method != "GET":
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode("latin-1") + body


class AnswerReader:
    """Reads one answer. ``answer`` is there when all of it has come; what comes after it is not read."""

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
            self.keeps_alive = False  # it speaks unasked
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
        # A line that does not end is told to nobody, so what is not counted below counts here.
        if self._received > (MAX_RECEIVED if self._head_is_over else MAX_HEAD + READ_SIZE):
            self._fault = self._fault or NotHttpError(f"an answer of more than {self._received:,} bytes without an end")
        if self._fault is not None:
            raise self._fault

    def end(self) -> None:
        """The server has closed the connection. Raises EOFError if something is missing."""
        has_length = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self.answer is None and self._head_is_over and not has_length:
            self._complete()
        if self.answer is None:
            raise EOFError("the connection was closed before the answer")

    # What the parser calls

    def on_message_begin(self) -> None:
        """An answer begins: the first, the one after an interim answer, or one that nobody asked for."""
        if self.answer is not None:
            self.keeps_alive = False
            self._refuse("more than one answer")
        self._headers = {}
        self._head_is_over = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or trailer."""
        self._header_count += 1
        self._head_size += len(name) + len(value)
        if self._header_count > MAX_HEADERS:
            self._refuse(f"an answer with more than {MAX_HEADERS} headers")
        if self._head_size > MAX_HEAD:
            self._refuse(f"an answer with more than {MAX_HEAD:,} bytes of headers")
        if not self._head_is_over:  # a trailer says nothing that is asked for
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """All headers."""
        self._head_is_over = self._parser.get_status_code() >= 200

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if len(self._body) + len(data) > MAX_ANSWER:
            self._refuse(f"an answer of more than {MAX_ANSWER:,} bytes")
        self._body += data

    def on_message_complete(self) -> None:
        """All of it. An interim answer (100, 103) is not what is waited for."""
        if self.answer is None and self._parser.get_status_code() >= 200:
            self.keeps_alive = self._parser.should_keep_alive()
            self._complete()

    def _complete(self) -> None:
        self.answer = HttpAnswer(self._parser.get_status_code(), self._headers, bytes(self._body))

    def _refuse(self, why: str) -> None:
        """Stop the parser, which makes another exception of this one."""
        self._fault = NotHttpError(why)
        raise self._fault

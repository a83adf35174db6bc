"""HTTP/1.1 as far as it takes to publish: requests as bytes, and answers from bytes. No input and output here.

An HTTP client for everything takes five to ten times the CPU of this for each request (docs/performance.md).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import httptools

MAX_ANSWER: Final = 1_048_576
"""Bytes of a body; an API's answers are far smaller."""
READ_SIZE: Final = 65_536


class HttpAnswer(NamedTuple):
    """``headers`` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes


class NotHttpError(Exception):
    """What came is no answer in HTTP."""


def request_bytes(method: str, target: str, host: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A request for ``target``, the path with its query. The connection is to be kept."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: soundpost\r\n{more}"
    if body or method != "GET":
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode("latin-1") + body


class AnswerReader:
    """Reads one answer. ``answer`` is there when all of it has come."""

    def __init__(self) -> None:
        self.answer: HttpAnswer | None = None
        self.keeps_alive = False
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._head_is_over = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come. Raises NotHttpError."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise NotHttpError("the server wants to speak something else than HTTP") from None
        except httptools.HttpParserError:
            raise NotHttpError(f"illegal status line or header in {data[:40]!r}") from None

    def end(self) -> None:
        """The server has closed the connection. Raises EOFError if something is missing."""
        has_length = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self.answer is None and self._head_is_over and not has_length:
            self._complete()
        if self.answer is None:
            raise EOFError("the connection was closed before the answer")

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """All headers."""
        self._head_is_over = True

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if len(self._body) + len(data) > MAX_ANSWER:
            raise NotHttpError(f"an answer of more than {MAX_ANSWER} bytes")
        self._body += data

    def on_message_complete(self) -> None:
        """All of it. An interim answer (100, 103) is not what is waited for."""
        if self._parser.get_status_code() >= 200:
            self.keeps_alive = self._parser.should_keep_alive()
            self._complete()

    def _complete(self) -> None:
        self.answer = HttpAnswer(self._parser.get_status_code(), self._headers, bytes(self._body))

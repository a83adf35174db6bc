"""Small HTTP server that receives webhooks, for development: one callback per request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import httptools

LARGEST_BODY: Final = 1_048_576
"""Bytes of a body that the receiver takes."""


class ReceivedRequest(NamedTuple):
    """Request as it came: header names in lower case, ``path`` with its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """Answer to a request."""

    status: int
    text: str = ""


Handle = Callable[[ReceivedRequest], Answer]


class WebhookReceiver(asyncio.Protocol):
    """Connection of a sender. llhttp calls the ``on_…`` methods."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse what came; end a connection that does not speak HTTP/1.1."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._send(Answer(400, "this is a receiver of webhooks: it takes POST requests in HTTP/1.1"), closes=True)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._path = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        """Take the path, or a part of it."""
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        """Let a client go on that waits with its body."""
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._transport.is_closing():
            return
        self._body += body
        if len(self._body) > LARGEST_BODY:
            self._send(Answer(413, f"a body of more than {LARGEST_BODY:,} bytes"), closes=True)

    def on_message_complete(self) -> None:
        """Answer the request."""
        if self._transport.is_closing():
            return
        method = self._parser.get_method().decode()
        path = self._path.decode("utf-8", "replace")
        answer = self._handle(ReceivedRequest(method, path, self._headers, bytes(self._body)))
        self._send(answer, closes=not self._parser.should_keep_alive())

    def _send(self, answer: Answer, *, closes: bool) -> None:
        body = answer.text.encode()
        lines = [
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            f"Connection: {'close' if closes else 'keep-alive'}",
        ]
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        if closes:
            self._transport.close()

"""Requests as handlers get them, and the responses, streams and errors that handlers give."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec

from soundpost.errors import JsonError, SoundpostError

Headers = tuple[tuple[str, str], ...]
Body = TypeVar("Body")

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


class AdminRequest:
    """Whole request. ``target`` is the path with its query, as sent; header names are in lower case.

    ``address`` is the address of the client, or of the proxy that handed the request on.
    """

    def __init__(self, method: str, target: str, headers: Mapping[str, str], body: bytes, address: str = "") -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.address = address
        self.path, _, self._query = target.partition("?")
        self.names: Mapping[str, str] = {}
        """Decoded parts of the path by their names in the pattern of the route; see :class:`Routes`."""

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's parameters, decoded. If a name is repeated, the last value counts."""
        return dict(parse_qsl(self._query, keep_blank_values=True))

    @cached_property
    def cookies(self) -> dict[str, str]:
        """The cookies by name, as sent."""
        pairs = (part.partition("=") for part in self.headers.get("cookie", "").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


class AdminResponse(NamedTuple):
    """Response with its whole body."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Headers = ()

    def encode(self, *, keep_alive: bool, without_body: bool = False) -> bytes:
        """Return the bytes to send; ``without_body`` for an answer to HEAD."""
        lines = [*_head(self.status, self.content_type, self.headers)]
        if self.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(self.body)}")
        lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head if without_body else head + self.body


class AdminStream(NamedTuple):
    """Response whose parts are sent as they come, until the iterator ends or the client is gone.

    At the end the iterator is closed. The next part is requested only after the client has taken the last one.
    """

    parts: AsyncIterator[bytes]
    content_type: str = "text/event-stream"
    headers: Headers = ()

    def head(self, *, chunked: bool) -> bytes:
        """Return the head to send. ``chunked`` is False for HTTP/1.0, where the end of the connection ends the body."""
        lines = [*_head(200, self.content_type, self.headers)]
        lines.append("X-Accel-Buffering: no")  # Nginx hands each part on at once
        lines.append("Transfer-Encoding: chunked" if chunked else "Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


Answer = AdminResponse | AdminStream
Handle = Callable[[AdminRequest], Answer | Awaitable[Answer]]
"""Handler of requests: returns the answer, or is awaited for it. Raises AdminError."""


def _head(status: int, content_type: str, headers: Headers) -> list[str]:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
    if status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Type: {content_type}")
    lines.append("X-Content-Type-Options: nosniff")
    return lines + [f"{name}: {value}" for name, value in headers]


def read_body(request: AdminRequest, read: Callable[[bytes], Body]) -> Body:
    """Return the body of a request, as ``read`` decodes its JSON. Raises AdminError for any other body."""
    try:
        request.body.decode()  # JSON that is kept as it was sent is not checked by ``read``
        return read(request.body)
    except (JsonError, UnicodeDecodeError) as error:
        raise AdminError(422, f"Invalid body: {error}") from None


def json_answer(value: Any, status: int = 200, headers: Headers = ()) -> AdminResponse:
    """Return a response with ``value`` as JSON."""
    return AdminResponse(status, msgspec.json.encode(value), "application/json", headers)


class AdminError(SoundpostError):
    """Error that ends a request with a status and a sentence for a person."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers

    def response(self) -> AdminResponse:
        """Return the response ``{"error": "sentence"}``."""
        return json_answer({"error": self.message}, self.status, self.headers)


def not_found(beginning: str, path: str) -> AdminError:
    """Return the error of an unknown path; it tells clients and publishers, which ask below /app, the right port."""
    elsewhere = ": clients and publishers use the server's own port" if path.startswith("/app") else ""
    return AdminError(404, f"{beginning} {path[:100]!a}{elsewhere}")

"""HTTP requests as routes get them, and the responses and errors that routes give."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import unquote_plus

from soundpost.core.histogram import Histogram
from soundpost.errors import SoundpostError
from soundpost.server.connections.whole_request import Handshake, read_fields
from soundpost.wire.json_text import encode

_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


class Client(Protocol):
    """The connection that a request came over."""

    def client_ip(self, request: Request) -> str:
        """Return the client's address."""


class Request:
    """A whole HTTP request. ``path`` and ``query`` are as sent, still percent-encoded.

    ``idempotency_key`` is the value of that header, found while the head was read: a look-up among the headers costs
    more. ``is_signed`` is true once an application's signature was verified; then ``body_md5`` is the digest that was
    signed. ``publish_times`` is None until the request asks to publish; then it is where its app counts how long that
    takes.
    """

    __slots__ = (
        "_by_name",
        "_headers",
        "body",
        "body_md5",
        "client",
        "handshake",
        "http_version",
        "idempotency_key",
        "is_signed",
        "keep_alive",
        "max_size",
        "method",
        "path",
        "publish_times",
        "query",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes | tuple[str, str],
        http_version: str,
        headers: list[tuple[bytes, bytes]] | bytes,
        body: bytes,
        keep_alive: bool,
        idempotency_key: bytes | None = None,
        handshake: Handshake | None = None,
    ) -> None:
        """``target``: as sent, or parted into path and query; ``headers``: as sent, as pairs or as lines."""
        self.method = method
        if isinstance(target, tuple):
            self.path, self.query = target
        else:
            path, _, query = target.partition(b"?")
            self.path = path.decode("latin-1")
            self.query = query.decode("latin-1")
        self.http_version = http_version
        self._by_name: dict[bytes, bytes] | None = None
        self._headers = headers  # lines are read when they are asked for: a publish needs none
        self.body = body
        self.keep_alive = keep_alive
        self.idempotency_key = idempotency_key
        self.handshake = handshake
        """Fields of a valid request for a WebSocket, if it was read in one call; else None."""
        self.is_signed = False
        self.publish_times: Histogram | None = None
        self.body_md5 = ""
        self.client: Client | None = None
        """Connection of the request; None if it is unknown, as in an embedded server."""
        self.max_size = len(body)
        """Largest size of a body that is taken where this request came in, in bytes."""

    def headers(self) -> dict[bytes, bytes]:
        """Return header values by lower-case name; several of one name are joined by commas."""
        if self._by_name is not None:
            return self._by_name
        if isinstance(self._headers, bytes):
            self._by_name = found = read_fields(self._headers)
            return found
        self._by_name = found = {}
        for name, value in self._headers:
            name = name.lower()
            found[name] = found[name] + b", " + value if name in found else value
        return found

    def client_ip(self) -> str:
        """Return the client's address; empty if it is unknown."""
        return "" if self.client is None else self.client.client_ip(self)

    def head_without(self, *names: bytes) -> bytes:
        """Return request line and headers as bytes, without the headers of the given lower-case names."""
        target = self.path + ("?" + self.query if self.query else "")
        lines = [self.method + b" " + target.encode("latin-1") + b" HTTP/" + self.http_version.encode("latin-1")]
        fields = self.headers().items() if isinstance(self._headers, bytes) else self._headers
        lines += [name + b": " + value for name, value in fields if name.lower() not in names]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def parameters(self) -> list[tuple[str, str]]:
        """Return the query's parameters, decoded, in order."""
        return query_parameters(self.query)


def query_parameters(query: str) -> list[tuple[str, str]]:
    """Return the parameters of a query, decoded, in order."""
    pairs: list[tuple[str, str]] = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if "%" in part or "+" in part:
            name, value = unquote_plus(name), unquote_plus(value)
        if name:
            pairs.append((name, value))
    return pairs


class Response(NamedTuple):
    """An HTTP response with its whole body."""

    status: int = 200
    body: bytes = b"{}"
    content_type: bytes = b"application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, *, keep_alive: bool) -> bytes:
        """Return the bytes to send."""
        if self.status == 200 and not self.headers and keep_alive:
            return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
                self.content_type,
                len(self.body),
                self.body,
            )
        lines = [b"HTTP/1.1 %d %b" % (self.status, _REASONS.get(self.status, b"Unknown"))]
        lines.append(b"Content-Type: " + self.content_type)
        lines.append(b"Content-Length: %d" % len(self.body))
        lines += [f"{name}: {value}".encode("latin-1") for name, value in self.headers]
        if not keep_alive:
            lines.append(b"Connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


OK: Final = Response()
OK_ENCODED: Final = OK.encode(keep_alive=True)
"""The bytes of the most frequent answer."""


def json_response(value: Any, status: int = 200) -> Response:
    """Return a response with ``value`` as JSON."""
    return Response(status, encode(value))


class ApiError(SoundpostError):
    """An error that ends a request with a status and a reason that a person can act on."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers

    def response(self) -> Response:
        """Return the response ``{"error": "…"}``."""
        return Response(self.status, encode({"error": self.message}), headers=self.headers)

"""The HTTP API over ASGI, with the routes of the standalone server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from soundpost.asgi.connection import Receive, Send
from soundpost.asgi.runtime import EmbeddedRuntime
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import ApiError, Request, Response
from soundpost.server.api.router import Router
from soundpost.server.connections.peer import UNKNOWN_ADDRESS

log = logging.getLogger("soundpost.api")

_MAX_NUMBER: Final = 18
"""Digits of a Content-Length that are read: a number with so many is too large in any case."""


async def answer(
    runtime: EmbeddedRuntime, scope: Mapping[str, Any], prefix: str, max_size: int, receive: Receive, send: Send
) -> None:
    """Answer one request; answer a publish once its events are on their way to the clients."""
    try:
        body = await _body(scope, receive, max_size)
        if body is None:
            return
        request = request_of(scope, body)
        request.max_size = max_size
        response = await _respond(runtime, request, prefix)
    except ApiError as error:
        response = error.response()
    except Exception:
        log.exception("%s %s failed", scope.get("method"), ascii(scope.get("path")))
        response = ApiError(500, "Internal server error: its log has the reason").response()
    headers = [(b"content-type", response.content_type), (b"content-length", b"%d" % len(response.body))]
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope.get("method") == "HEAD" else response.body})


def request_of(scope: Mapping[str, Any], body: bytes = b"") -> Request:
    """Return the request for the routes. Optional keys of the ASGI scope may be missing, or None."""
    headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    keys = [value for name, value in headers if name.lower() == b"idempotency-key"]
    method = (scope.get("method") or "GET").encode("latin-1", errors="replace")
    version = scope.get("http_version") or "1.1"
    target = path_of(scope)
    query = query_of(scope)
    if query:
        target += b"?" + query
    return Request(method, target, version, headers, body, True, b", ".join(keys) if keys else None)


def path_of(scope: Mapping[str, Any]) -> bytes:
    """Return the path as it was sent; encode the decoded path where the ASGI server gives no ``raw_path``."""
    raw = scope.get("raw_path")
    if raw:
        return bytes(raw).partition(b"?")[0]  # some leave the query in it
    return quote(scope.get("path") or "/", safe="/=@,;:+", errors="surrogatepass").encode()


def query_of(scope: Mapping[str, Any]) -> bytes:
    """Return the query as it was sent."""
    return bytes(scope.get("query_string") or b"")


def client_address_of(scope: Mapping[str, Any]) -> str:
    """Return the client's address, or :data:`UNKNOWN_ADDRESS` if the ASGI server does not give it."""
    client = scope.get("client")
    return str(client[0]) if client and client[0] else UNKNOWN_ADDRESS


async def _respond(runtime: EmbeddedRuntime, request: Request, prefix: str) -> Response:
    response = Router(runtime.node, prefix, runtime.log_throttle).respond(request)
    if isinstance(response, PendingResponse):
        if response.response is None:
            ready = runtime.loop.create_future()
            response.then(lambda: ready.set_result(None))
            await ready
        assert response.response is not None
        response = response.response
    sent: asyncio.Future[None] = runtime.loop.create_future()
    runtime.node.after_sending(lambda: sent.set_result(None))
    await sent
    return response


async def _body(scope: Mapping[str, Any], receive: Receive, max_size: int) -> bytes | None:
    """Return the body; None if the client is gone before the end. Raises ApiError for more than ``max_size`` bytes."""
    announced = next(
        (bytes(value) for name, value in scope["headers"] if bytes(name).lower() == b"content-length"), b"0"
    )
    size = int(announced[:_MAX_NUMBER]) if announced.isdigit() else 0
    parts: list[bytes] = []
    while True:
        if size > max_size:
            raise ApiError(
                413,
                f"Payload too large: a body of {size} bytes or more, {max_size} are allowed (max_request_size)",
            )
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size = max(size, sum(map(len, parts)))
        if not message.get("more_body", False):
            return b"".join(parts)

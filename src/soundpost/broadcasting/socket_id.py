"""The socket id of the current request, from the header ``X-Socket-ID`` of the browser that sent the request.

``to_others`` leaves that browser connection out. The socket id is in a context variable, set by the middleware of each
framework, and is known in threads and tasks that the request starts with a copied context.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from soundpost.wire.socket_id import is_socket_id

log = logging.getLogger("soundpost.broadcast")

HEADER: Final = "X-Socket-ID"
_current: ContextVar[str | None] = ContextVar("soundpost_socket_id", default=None)

Scope = MutableMapping[str, Any]
ASGIApp = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


def current_socket_id() -> str | None:
    """Return the socket id of the current request; None outside of a request, or if the browser sent none."""
    return _current.get()


def valid_socket_id(text: str | None) -> str | None:
    """Return a text that can be a socket id, and None for any other.

    An event is sent in spite of a browser's broken or forged header, without leaving out a connection.
    """
    if not text:
        return None
    if is_socket_id(text):
        return text
    log.debug("%s %.60a is not a socket id and is left out", HEADER, text)
    return None


@contextmanager
def socket_id(text: str | None) -> Iterator[None]:
    """Run the block as for a request with this ``X-Socket-ID``."""
    token = _current.set(valid_socket_id(text))
    try:
        yield
    finally:
        _current.reset(token)


class SocketIdMiddleware:
    """ASGI middleware that sets the socket id of each request, for ``to_others``."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Serve one ASGI request, with its socket id as the current one."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        found = next((value for name, value in scope["headers"] if name == b"x-socket-id"), b"")
        with socket_id(found.decode("latin-1")):
            await self.app(scope, receive, send)

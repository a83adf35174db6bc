"""Which browser connection the current request comes from: its ``X-Socket-ID``, so that it need not get its own event.

A context variable, set by the middleware of each framework: what a request does, in threads and tasks it starts with a
copied context too, knows of it.
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
    """The socket id of the current request; None outside of one, and where the browser sent none."""
    return _current.get()


def valid_socket_id(text: str | None) -> str | None:
    """Return a socket id as it was sent if it can be one, and None for another.

    A browser's broken or forged header is left out, and the event is sent all the same: to everybody.
    """
    if not text:
        return None
    if is_socket_id(text):
        return text
    log.debug("%s %.60a is no socket id and is left out", HEADER, text)
    return None


@contextmanager
def socket_id(text: str | None) -> Iterator[None]:
    """Do something as if for a request with this ``X-Socket-ID``."""
    token = _current.set(valid_socket_id(text))
    try:
        yield
    finally:
        _current.reset(token)


class SocketIdMiddleware:
    """Pure ASGI: makes ``to_others`` know the browser that a request comes from."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        found = next((value for name, value in scope["headers"] if name == b"x-socket-id"), b"")
        with socket_id(found.decode("latin-1")):
            await self.app(scope, receive, send)

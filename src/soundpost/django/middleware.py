"""The middleware by which ``to_others=True`` knows the browser that a request comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from soundpost.broadcasting.socket_id import HEADER, socket_id


class SocketIdMiddleware:
    """Middleware that reads ``X-Socket-ID``: for ``settings.MIDDLEWARE``, under WSGI and ASGI."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Serve a request, with its socket id as the current one."""
        if self._is_async:
            return self._acall(request)
        with socket_id(request.headers.get(HEADER)):
            return self.get_response(request)

    async def _acall(self, request: Any) -> Any:
        with socket_id(request.headers.get(HEADER)):
            answer: Awaitable[Any] = self.get_response(request)
            return await answer

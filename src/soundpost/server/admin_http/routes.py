"""Routes: handlers by method and pattern of the path."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from urllib.parse import unquote

from soundpost.server.admin_http.messages import AdminError, AdminRequest, Answer, Handle, not_found


class Routes:
    """Handlers by ``"METHOD /path"``, itself a handler.

    A part of the path in braces stands for any one part: ``"GET /apps/{app}/channels/{name}"``. The handler finds it,
    decoded, in ``request.names``. A path without a route is answered with 404, another method with 405. HEAD is
    answered as GET.
    """

    def __init__(self, routes: Mapping[str, Handle]) -> None:
        self._routes: list[tuple[list[str], str, Handle]] = []
        for route, handle in routes.items():
            method, path = route.split(" ", 1)
            self._routes.append((path.split("/"), method, handle))

    def __call__(self, request: AdminRequest) -> Answer | Awaitable[Answer]:
        """Have the handler of a request answer it. Raises AdminError if there is none."""
        parts = request.path.split("/")
        allowed = []
        method = "GET" if request.method == "HEAD" else request.method
        for pattern, takes, handle in self._routes:
            names = _match(pattern, parts)
            if names is not None:
                if takes == method:
                    request.names = names
                    return handle(request)
                allowed.append(takes)
        if allowed:
            takes = ", ".join(dict.fromkeys(allowed))
            raise AdminError(405, f"{request.path[:100]!a} takes {takes}", (("Allow", takes),))
        raise not_found("This port has no", request.path)


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(parts):
        return None
    names = {}
    for expected, part in zip(pattern, parts, strict=True):
        if expected.startswith("{"):
            names[expected[1:-1]] = unquote(part)
        elif expected != part:
            return None
    return names

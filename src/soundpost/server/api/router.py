"""Routing of HTTP requests: the routes of the API, health checks, mounted handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

from soundpost.config.other_servers import advice_on_path
from soundpost.core.app import App
from soundpost.core.figures import count
from soundpost.core.node import Node
from soundpost.core.refusals import note_refusal
from soundpost.errors import HandshakeError
from soundpost.log_throttle import LogThrottle
from soundpost.server.api import channels, events, history, users
from soundpost.server.api.authentication import authenticate
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import ApiError, Request, Response
from soundpost.server.connections.refused_clients import note_lost_upgrade
from soundpost.server.connections.wrong_protocol import path_hint, upgrade_is_lost
from soundpost.wire import handshake

Answer = Response | PendingResponse
Route = Callable[[Request, App, dict[str, str]], Answer]
NamedRoute = Callable[[Request, App, dict[str, str], str], Answer]
Mounted = Callable[[Request, str], Answer]
"""A handler of all paths with a common beginning, called with the path without the server's prefix. Raises ApiError."""

_APP_ROUTES: Final[dict[tuple[str, bytes], Route]] = {
    ("events", b"POST"): events.post_event,
    ("batch_events", b"POST"): events.post_batch,
    ("channels", b"GET"): channels.get_channels,
    ("connections", b"GET"): channels.get_connections,
    ("positions", b"GET"): history.get_positions,
}
_NAMED_ROUTES: Final[dict[tuple[str, str, bytes], NamedRoute]] = {
    ("channels", "", b"GET"): channels.get_channel,
    ("channels", "users", b"GET"): channels.get_channel_users,
    ("channels", "history", b"GET"): history.get_history,
    ("channels", "history", b"DELETE"): history.delete_history,
    ("users", "terminate_connections", b"POST"): users.terminate_connections,
}
_MAX_CACHED: Final = 1_000
"""Largest number of addresses whose route is remembered."""
_HEALTH: Final = Response(body=b'{"health":"OK"}')
_HEALTH_ALONE: Final = Response(body=b'{"health":"OK","delivered":"local"}')
"""Answer to health checks while Redis cannot be reached: this host still serves its own clients, and no other host
could serve them better."""
_HEALTH_DRAINING: Final = Response(503, b'{"health":"draining"}')


class Router:
    """The router of HTTP requests: finds the app, checks the signature, calls the route."""

    def __init__(
        self,
        node: Node,
        prefix: str,
        log_throttle: LogThrottle,
        *,
        mounts: Mapping[str, Mounted] | None = None,
        introduction: str = "",
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        """``mounts``: handlers by the beginning of the path; ``is_ready``: whether the server wants new clients.

        ``introduction``: the sentence with which ``/`` is not found, for people who open it in a browser.
        """
        self._node = node
        self._prefix = prefix
        self._log_throttle = log_throttle
        self._mounts = mounts or {}
        self._introduction = introduction
        self._is_ready = is_ready
        self._known: dict[tuple[str, bytes], tuple[str, Route]] = {}
        """Routes and ids of apps by path and method, of requests whose signature was right."""

    def respond(self, request: Request) -> Answer:
        """Answer a request. Raises ApiError for one that cannot be answered."""
        known = self._known.get((request.path, request.method))
        if known is not None:
            known_app = self._node.by_id.get(known[0])
            if known_app is not None:
                return known[1](request, known_app, authenticate(request, known_app, self._prefix))
        path = self._without_prefix(request.path)
        if path.startswith("/apps/"):
            app_id, _, rest = path[6:].partition("/")
            app = self._node.by_id.get(unquote(app_id))
            if app is None:
                count(self._node.figures.refusals, "api_app")
                reason = (
                    f"No matching application for ID [{app_id[:100]}]. Give the application an app id of this server"
                )
                note_refusal(self._node, "api", reason, 404, address=request.client_ip())
                raise ApiError(404, f"No matching application for ID [{app_id[:100]}].")
            return self._app_route(request, app, rest.split("/"))
        if path.startswith("/users/"):
            # The official Python SDK leaves /apps/{id} out of this one address.
            return self._app_route(request, self._app_by_key(request), path[1:].split("/"))
        if path in ("/up", "/up/ready"):
            return self._health(request, path)
        if path == "/" and self._introduction:
            raise ApiError(404, self._introduction)
        for beginning, mounted in self._mounts.items():
            if path.startswith(beginning):
                return mounted(request, path)
        if path.startswith("/app/"):
            self._explain_missing_upgrade(request)
        raise ApiError(404, f"Not found: there is nothing at {request.path[:200]!a}{_hint(path, request.path)}")

    def _app_route(self, request: Request, app: App, parts: list[str]) -> Answer:
        if len(parts) == 1:
            route = _APP_ROUTES.get((parts[0], request.method))
            if route is not None:
                query = authenticate(request, app, self._prefix)
                if len(self._known) >= _MAX_CACHED:
                    self._known.clear()
                self._known[request.path, request.method] = app.settings.id, route
                return route(request, app, query)
            known = [method for name, method in _APP_ROUTES if name == parts[0]]
        else:
            end = "/".join(parts[2:])
            named = _NAMED_ROUTES.get((parts[0], end, request.method))
            if not parts[1]:
                raise ApiError(404, f"Not found: {parts[0][:200]!a} is followed by an empty name")
            if named is not None:
                return named(request, app, authenticate(request, app, self._prefix), unquote(parts[1]))
            known = [method for kind, tail, method in _NAMED_ROUTES if (kind, tail) == (parts[0], end)]
        if known:
            raise _not_allowed(request, known)
        raise ApiError(404, f"Not found: the API has no {'/'.join(parts)[:200]!a}")

    def _app_by_key(self, request: Request) -> App:
        key = dict(request.parameters()).get("auth_key")
        app = self._node.by_key.get(key or "")
        if app is None:
            reason = (
                "auth_key is missing or unknown. Compare the key of the application (SOUNDPOST_APP_KEY) with those here"
            )
            count(self._node.figures.refusals, "api_app")
            note_refusal(self._node, "api", reason, 401, address=request.client_ip())
            raise ApiError(401, "Missing or unknown auth_key")
        return app

    def _health(self, request: Request, path: str) -> Response:
        """Answer ``/up`` (the process lives) or ``/up/ready`` (the server takes new clients: not while it drains)."""
        if request.method not in (b"GET", b"HEAD"):
            raise _not_allowed(request, [b"GET"])
        if path == "/up":
            return _HEALTH
        if not self._is_ready():
            return _HEALTH_DRAINING
        return _HEALTH if self._node.peers.reaches_all else _HEALTH_ALONE

    def _without_prefix(self, path: str) -> str:
        if not self._prefix:
            return path
        if path.startswith(self._prefix + "/"):
            return path[len(self._prefix) :]
        if path == self._prefix:
            return "/"
        if path.startswith("/apps/"):
            # pusher-http-php publishes so where the prefix has no slash at its end: Guzzle takes it for a file's name.
            return path
        hint = path_hint(path) if "//" in path else ""
        raise ApiError(404, f"Not found: paths begin with {self._prefix} on this server{hint}")

    def _explain_missing_upgrade(self, request: Request) -> None:
        """Answer a plain request to a WebSocket address. Mostly a proxy has removed the upgrade."""
        try:
            handshake.accept(request.method, request.http_version, request.headers())
        except HandshakeError as error:
            note_lost_upgrade(self._node, request, error, request.client_ip())
            raise upgrade_is_lost(self._log_throttle, request, error) from None


def _hint(path: str, full_path: str) -> str:
    """Return a hint for a path of another server or with a wrong prefix; empty without a hint."""
    advice = advice_on_path(path)
    return f": {advice}" if advice else path_hint(full_path)


def _not_allowed(request: Request, known: list[bytes]) -> ApiError:
    allowed = ", ".join(sorted(method.decode() for method in known))
    return ApiError(
        405, f"{request.method.decode('latin-1')} is not allowed here: use {allowed}", (("Allow", allowed),)
    )

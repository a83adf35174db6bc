"""The access log: a line for each request to the API."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_plus

from soundpost.redaction import REDACTED, is_secret_name
from soundpost.server.connections.peer import shown
from soundpost.server.processes.logs import log_format, stderr

if TYPE_CHECKING:
    from soundpost.core.node import Node
    from soundpost.core.outbox import CallLater
    from soundpost.server.api.requests import Request
    from soundpost.server.processes.logs import QueuedStream

_LOGGER: Final = "soundpost.access"
_WAIT: Final = 0.1
"""Seconds for which lines are gathered, to be written together: a write wakes another thread."""
_MAX_LENGTH: Final = 1_000
"""Characters of a path."""
_AUTHENTICATION: Final = ("auth_", "body_md5")
_HEALTH: Final = ("/up", "/up/ready")


class AccessLog:
    """Lines of requests and their answers, written ten times a second. Health checks that succeed have none.

    Measured: a line costs 4 µs, and with its connection's part (:mod:`soundpost.server.connections.logged_connection`)
    a publish takes 1.4 times as much CPU as without.
    """

    def __init__(
        self,
        node: Node,
        prefix: str,
        call_later: CallLater,
        *,
        out: QueuedStream | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Log to ``out`` (stderr by default); ``prefix`` is that of every path, ``clock`` in seconds since 1970."""
        self._node = node
        self._prefix = prefix
        self._call_later = call_later
        self._out = out or stderr()
        self._clock = clock
        self._form = log_format()
        self._lines: list[str] = []

    def add(self, request: Request | None, address: str, status: int, size: int, seconds: float) -> None:
        """Add a line. ``request`` is None for bytes that are not a request; ``size`` is the answer's body in bytes."""
        if request is None:
            method, path, app_id = "-", "-", ""
        else:
            method, path = request.method.decode("latin-1"), request.path
            if status == 200 and path.removeprefix(self._prefix) in _HEALTH:
                return
            app_id = self._app_id(request)
            path = path_without_signature(path, request.query)
        milliseconds = round(seconds * 1000, 2)
        of_app = f" app {app_id}" if app_id else ""
        message = f"{shown(address)} {method} {path} {status} {size} bytes {milliseconds} ms{of_app}"
        fields = None
        if self._form.name == "json":
            fields = {
                "address": address,
                "method": method,
                "path": path,
                "status": status,
                "bytes": size,
                "milliseconds": milliseconds,
                "app": app_id,
            }
        if not self._lines:
            self._call_later(_WAIT, self.write)
        self._lines.append(self._form.line(self._clock(), "INFO", _LOGGER, message, fields))

    def write(self) -> None:
        """Write the lines that were gathered."""
        lines, self._lines = self._lines, []
        if lines:
            self._out.write("\n".join(lines) + "\n")

    def _app_id(self, request: Request) -> str:
        """Return the id of the app that a request names, if this server has such an app."""
        path = request.path.removeprefix(self._prefix)
        if path.startswith("/apps/"):
            app_id = unquote(path[6:].partition("/")[0])
            return app_id if app_id in self._node.by_id else ""
        app = self._node.by_key.get(dict(request.parameters()).get("auth_key", ""))
        return "" if app is None else app.settings.id


def path_without_signature(path: str, query: str) -> str:
    """Return path and query of a request as they were sent, without authentication and secrets, cut if very long."""
    others = [text for text in query.split("&") if not text.startswith(_AUTHENTICATION)]
    kept = [text for text in map(_parameter, others) if text]
    text = f"{path}?{'&'.join(kept)}" if kept else path
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


def _parameter(text: str) -> str:
    """Return a parameter of a query; without its value if that is a secret, and empty for authentication."""
    name, sign, _ = text.partition("=")
    plain = unquote_plus(name) if "%" in name else name
    if plain.startswith(_AUTHENTICATION):
        return ""
    return f"{name}{sign}{REDACTED}" if is_secret_name(plain) else text

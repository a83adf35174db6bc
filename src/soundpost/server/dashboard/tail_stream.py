"""The live tail of an app, a channel, a user or a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from soundpost.core.inspection import StartTail, TailLine, TailLines
from soundpost.server.admin_http import AdminError, AdminRequest, AdminStream, Answer
from soundpost.server.dashboard.daemon_view import DaemonView, app_of
from soundpost.server.dashboard.event_stream import ALIVE, BEGINNING, event

MAX_TAILS: Final = 20
"""Largest number of tails at a time."""
_MAX_LINES: Final = 1_000
"""Lines that wait for a browser; further ones are left out, and counted."""
_KEEPALIVE: Final = 5.0
_MAX_LENGTH: Final = 500


class TailStreams:
    """Handler for tails. ``is_alive`` tells whether the session of a request goes on."""

    def __init__(self, daemon: DaemonView, is_alive: Callable[[AdminRequest], bool]) -> None:
        self._daemon = daemon
        self._is_alive = is_alive
        self._open = 0

    def tail(self, request: AdminRequest) -> Answer:
        """Stream the lines of a tail as they come."""
        fields = {name: request.query.get(name, "") for name in ("app", "channel", "user", "socket")}
        for name, value in fields.items():
            if len(value) > _MAX_LENGTH:
                raise AdminError(422, f"{name}: {len(value)} characters, at most {_MAX_LENGTH} are allowed")
        app_of(self._daemon, fields["app"])
        if self._open >= MAX_TAILS:
            raise AdminError(503, f"{MAX_TAILS} tails are open, which is the limit: close one")
        start = StartTail(
            app_id=fields["app"], channel=fields["channel"], user_id=fields["user"], socket_id=fields["socket"]
        )
        return AdminStream(self._lines(request, start))

    async def _lines(self, request: AdminRequest, start: StartTail) -> AsyncIterator[bytes]:
        self._open += 1
        waiting = _PendingLines()
        end = self._daemon.inspector.tail(start, waiting.add)
        try:
            yield BEGINNING
            while self._is_alive(request):
                yield await waiting.next()
        finally:
            end()
            self._open -= 1


class _PendingLines:
    """Lines that a browser has not taken yet."""

    def __init__(self) -> None:
        self._lines: list[TailLine] = []
        self._left_out = 0
        self._some = asyncio.Event()

    def add(self, lines: TailLines) -> None:
        """Add lines behind those that wait."""
        room = _MAX_LINES - len(self._lines)
        self._lines += lines.lines[:room]
        self._left_out += lines.left_out + max(0, len(lines.lines) - room)
        self._some.set()

    async def next(self) -> bytes:
        """Wait for lines and return them as one message; return a comment after some seconds without lines."""
        try:
            async with asyncio.timeout(_KEEPALIVE):
                await self._some.wait()
        except TimeoutError:
            return ALIVE
        self._some.clear()
        lines, left_out = self._lines, self._left_out
        self._lines, self._left_out = [], 0
        return event({"lines": lines, "left_out": left_out})

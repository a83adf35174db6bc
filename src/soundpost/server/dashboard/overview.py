"""The figures of all hosts: now, over the last hour, and as they change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from soundpost.server.admin_http import AdminError, AdminRequest, AdminStream, Answer, json_answer
from soundpost.server.dashboard.daemon_view import FiguresView
from soundpost.server.dashboard.event_stream import BEGINNING, event
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.figures.timeline import STEP

MAX_STREAMS: Final = 50
"""Streams of figures at a time."""
INTERVAL: Final = 2.0
"""Seconds between two messages of a stream."""
_FRESH: Final = 1.0


class Overview:
    """Handlers for figures. ``is_alive`` tells whether the session of a request goes on.

    However many operators look on, the hosts are asked once a second at most.
    """

    def __init__(self, figures: FiguresView, is_alive: Callable[[AdminRequest], bool]) -> None:
        self._source = figures
        self._is_alive = is_alive
        self._open = 0
        self._loop = asyncio.get_running_loop()
        self._asked: asyncio.Task[list[HostFigures]] | None = None
        self._asked_at = 0.0

    async def overview(self, request: AdminRequest) -> Answer:
        """Answer with the figures of all hosts, and the samples of the last hour."""
        samples = list(self._source.timeline.samples)
        return json_answer(
            {"hosts": await self._source.cluster_figures(), "timeline": {"step": int(STEP), "samples": samples}}
        )

    def live(self, request: AdminRequest) -> Answer:
        """Stream the figures of all hosts, and the newest sample."""
        if self._open >= MAX_STREAMS:
            raise AdminError(503, f"{MAX_STREAMS} pages show live figures, which is the limit: close one")
        return AdminStream(self._figures(request))

    async def _figures(self, request: AdminRequest) -> AsyncIterator[bytes]:
        self._open += 1
        try:
            yield BEGINNING
            while self._is_alive(request):
                yield event(await self._now())
                await asyncio.sleep(INTERVAL)
        finally:
            self._open -= 1

    async def _now(self) -> dict[str, Any]:
        hosts = await self._hosts()
        samples = self._source.timeline.samples
        return {"hosts": hosts, "sample": samples[-1] if samples else None}

    async def _hosts(self) -> list[HostFigures]:
        now = self._loop.time()
        if self._asked is None or (self._asked.done() and now - self._asked_at >= _FRESH):
            self._asked_at = now
            self._asked = asyncio.ensure_future(self._source.cluster_figures())
        return await asyncio.shield(self._asked)

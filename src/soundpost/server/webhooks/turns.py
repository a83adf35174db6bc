"""The turns of endpoints: few requests are built and signed in one turn of the event loop."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from soundpost.core.outbox import CallSoon

if TYPE_CHECKING:
    from soundpost.server.webhooks.endpoint import Endpoint

_REQUESTS_AT_ONCE: Final = 16
"""Number of requests that are begun in one loop turn: some 2 ms."""


class Turns:
    """Endpoints that are about to send, in the order in which they asked. ``call_soon`` is the loop's."""

    def __init__(self, call_soon: CallSoon) -> None:
        self._call_soon = call_soon
        self._waiting: deque[Endpoint] = deque()
        self._next_is_set = False
        self._is_paused = False

    def ask(self, endpoint: Endpoint) -> None:
        """Have an endpoint send in a later loop turn, together with events that come until then."""
        self._waiting.append(endpoint)
        self._set_next()

    def pause(self) -> None:
        """Have no endpoint send any more."""
        self._is_paused = True

    def _set_next(self) -> None:
        if self._waiting and not self._next_is_set:
            self._next_is_set = True
            self._call_soon(self._take)

    def _take(self) -> None:
        self._next_is_set = False
        if self._is_paused:
            return
        for _ in range(min(_REQUESTS_AT_ONCE, len(self._waiting))):
            self._waiting.popleft().send()
        self._set_next()

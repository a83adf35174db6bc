"""Responses that depend on the answer of other nodes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from soundpost.core.app import App
from soundpost.core.peers import Query
from soundpost.server.api.requests import ApiError, Response

log = logging.getLogger("soundpost.api")


class PendingResponse:
    """A response that needs an answer of other nodes first, which may be there already.

    ``make`` builds the response from the answer, or another pending one that needs a further answer.
    """

    __slots__ = ("_make", "_then", "response")

    def __init__(self, make: Callable[[Any], Response | PendingResponse]) -> None:
        self._make = make
        self._then: Callable[[], None] | None = None
        self.response: Response | None = None

    def resolve(self, answer: Any) -> None:
        """Build the response from the answer of the nodes."""
        try:
            made = self._make(answer)
        except ApiError as error:
            made = error.response()
        except Exception:
            log.exception("a request could not be answered")
            made = ApiError(500, "Internal server error: its log has the reason").response()
        if isinstance(made, PendingResponse):
            if made.response is None:
                made.then(partial(self._follow, made))
                return
            made = made.response
        self.response = made
        if self._then is not None:
            self._then()

    def _follow(self, other: PendingResponse) -> None:
        self.response = other.response
        if self._then is not None:
            self._then()

    def then(self, callback: Callable[[], None]) -> None:
        """Call back once the response is there."""
        self._then = callback


def ask_nodes(app: App, query: Query, make: Callable[[Any], Response]) -> PendingResponse:
    """Ask all nodes, and build the response from their answer; ``make`` may raise ApiError."""
    pending = PendingResponse(make)
    app.node.peers.ask(query, pending.resolve)
    return pending

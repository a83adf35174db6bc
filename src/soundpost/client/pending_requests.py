"""Requests of a socket that wait for an answer, and the request that a refusal belongs to.

A refusal does not always name its request. Some servers refuse a subscription with ``pusher:subscription_error``, which
names the channel, some with a ``pusher:error``, which does not, some with both.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from soundpost.wire.channel_names import kind_of
from soundpost.wire.codes import CLIENT_EVENT_REJECTED

SIGN_IN: Final = "pusher:signin"
"""Name of the sign-in among the requests; a subscription goes by the name of its channel."""


class PendingRequests:
    """The requests of one socket that have no answer yet, oldest first."""

    def __init__(self) -> None:
        self._pending: dict[str, asyncio.Future[None]] = {}
        self._abandoned: dict[str, int] = {}
        """Number of subscriptions by channel that were left before their answer: the next answers are theirs."""
        self._last_refusal: str | None = None

    def expect(self, request: str) -> asyncio.Future[None]:
        """Return a future that is done when a request, named by its channel, is accepted or refused."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[request] = answer
        return answer

    def resolve(self, request: str) -> bool:
        """Take note that a request is answered, or given up; return False if it was not waited for."""
        answer = self._pending.pop(request, None)
        if answer is not None and not answer.done():
            answer.set_result(None)
        return answer is not None

    def abandon(self, request: str) -> bool:
        """Take note that an answer is not wanted any more; return False if none was waited for."""
        if not self.resolve(request):
            return False
        self._abandoned[request] = self._abandoned.get(request, 0) + 1
        return True

    def is_abandoned(self, request: str) -> bool:
        """Return whether an answer that came is one to an abandoned request, which is then forgotten."""
        left = self._abandoned.pop(request, 0)
        if left > 1:
            self._abandoned[request] = left - 1
        return left > 0

    def note_refusal(self, text: str) -> None:
        """Take note of the text of a ``pusher:subscription_error``: a ``pusher:error`` may repeat it."""
        self._last_refusal = text

    def is_repetition(self, text: str) -> bool:
        """Return whether a ``pusher:error`` repeats the ``pusher:subscription_error`` before it."""
        noted, self._last_refusal = self._last_refusal, None
        return text == noted

    def refused_request(self, content: dict[str, Any]) -> str | None:
        """Return the request that a ``pusher:error`` refuses: the one for the channel that it names, else the
        oldest; or None."""
        if content.get("code") == CLIENT_EVENT_REJECTED:
            return None
        message = content.get("message")
        text = message if isinstance(message, str) else ""
        # Public names may be words of the message. The longest name, since one may begin with another.
        named = [request for request in self._pending if kind_of(request).needs_auth and request in text]
        return max(named, key=len) if named else next(iter(self._pending), None)

    def forget_all(self) -> None:
        """Forget all requests: the socket is gone, and no answer will come."""
        self._pending.clear()
        self._abandoned.clear()
        self._last_refusal = None

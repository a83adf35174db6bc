"""Which request an answer belongs to: a refusal does not always say so.

Some servers refuse a subscription with ``pusher:subscription_error``, which names the channel, some with a
``pusher:error``, which does not, some with both.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from soundpost.wire.channel_names import kind_of
from soundpost.wire.codes import CLIENT_EVENT_REJECTED

SIGN_IN: Final = "pusher:signin"
"""Stands for the sign-in, where a channel's name stands for its subscription."""


class Answers:
    """The requests of one socket that have no answer yet, oldest first."""

    def __init__(self) -> None:
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._told: str | None = None

    def expect(self, request: str) -> asyncio.Future[None]:
        """Done when a request, named by its channel, has been answered in whatever way."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[request] = answer
        return answer

    def settle(self, request: str) -> bool:
        """A request has been answered, or is not waited for any more; whether it was waited for."""
        answer = self._awaited.pop(request, None)
        if answer is not None and not answer.done():
            answer.set_result(None)
        return answer is not None

    def told(self, text: str) -> None:
        """A ``pusher:subscription_error`` with this text has come: the same may follow as ``pusher:error``."""
        self._told = text

    def is_repetition(self, text: str) -> bool:
        """Whether a ``pusher:error`` says again what the frame before it has said."""
        told, self._told = self._told, None
        return text == told

    def refused(self, content: dict[str, Any]) -> str | None:
        """The request a ``pusher:error`` is about: one whose channel it names, else the oldest; None for none."""
        if content.get("code") == CLIENT_EVENT_REJECTED:
            return None
        message = content.get("message")
        text = message if isinstance(message, str) else ""
        # Only names that cannot be a word of the message; the longest, since one may begin with another.
        named = [request for request in self._awaited if kind_of(request).needs_auth and request in text]
        return max(named, key=len) if named else next(iter(self._awaited), None)

    def forget_all(self) -> None:
        """The socket is gone: nothing will be answered."""
        self._awaited.clear()
        self._told = None

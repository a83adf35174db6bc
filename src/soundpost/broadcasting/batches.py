"""Messages gathered to be sent together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from itertools import groupby
from typing import Any, NamedTuple

from soundpost.broadcasting.message import Message


class Way(NamedTuple):
    """How messages are to be sent."""

    after_commit: bool
    on_error: str
    queue: str


class Batch:
    """Messages gathered to be sent together. Those of a transaction join it once that is committed."""

    def __init__(self) -> None:
        self.messages: list[tuple[Message, Way]] = []
        self.is_over = False

    def take(self) -> Iterator[tuple[Way, list[Message]]]:
        """What is there, neighbours that are sent alike together."""
        taken, self.messages = self.messages, []
        for way, group in groupby(taken, key=lambda each: each[1]):
            yield way, [message for message, _ in group]


current_batch: ContextVar[Batch | None] = ContextVar("soundpost_batch", default=None)


class AsyncBatch:
    """Gathers messages; sends them when left."""

    def __init__(
        self, gathering: AbstractContextManager[Batch], deliver: Callable[[list[Message], Way], Awaitable[None]]
    ) -> None:
        self._gathering = gathering
        self._deliver = deliver
        self._batch: Batch

    async def __aenter__(self) -> None:
        self._batch = self._gathering.__enter__()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._gathering.__exit__(kind, error, trace)
        if kind is None:
            for way, messages in self._batch.take():
                await self._deliver(messages, way)
            self._batch.is_over = True

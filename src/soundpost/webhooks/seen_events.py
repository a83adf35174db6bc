"""Deduplication of events: a handler is not called again for an event that the server sends again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, Protocol

MAX_REMEMBERED: Final = 10_000
"""Number of keys that a process remembers."""
SECONDS_REMEMBERED: Final = 600
"""Seconds that a key is remembered: the server sends an event again for five minutes."""


class SeenEvents(Protocol):
    """A memory of handled events. Its methods may be coroutine functions, and may block.

    A key is a text of letters, digits and ``:``, at most 60 characters. Shared by all processes of an application, the
    memory keeps an event that is sent again to another process from being handled twice.
    """

    def has(self, key: str) -> Any:
        """Return a true value if the key was added within the last ten minutes."""

    def add(self, key: str) -> Any:
        """Remember a key for ten minutes."""


def _check_time(seconds: float) -> None:
    if not seconds > 0:
        raise ValueError(f"seconds={seconds!r}: a time for which keys are remembered is expected")


class SeenInMemory:
    """The memory of one process: the last 10,000 keys, for ten minutes. ``clock`` is in seconds.

    Raises ValueError for a size below 1, and for no time.
    """

    def __init__(
        self,
        *,
        size: int = MAX_REMEMBERED,
        seconds: float = SECONDS_REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if size < 1:
            raise ValueError(f"size={size!r}: a memory for at least one key is expected")
        _check_time(seconds)
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._until)

    def has(self, key: str) -> bool:
        """Return whether a key is remembered."""
        return self._until.get(key, 0) > self._clock()

    def add(self, key: str) -> None:
        """Remember a key, and forget the oldest ones."""
        now = self._clock()
        with self._lock:
            self._until[key] = now + self._seconds
            self._until.move_to_end(key)
            while len(self._until) > self._size or next(iter(self._until.values())) <= now:
                self._until.popitem(last=False)


class SeenInRedis:
    """A memory in Redis, for all processes of an application. ``client`` is one of ``redis``, also an asyncio one.

    Raises ValueError for no time, and TypeError for what is not a client.
    """

    def __init__(self, client: Any, *, prefix: str = "soundpost:webhooks:", seconds: int = SECONDS_REMEMBERED) -> None:
        _check_time(seconds)
        if not hasattr(client, "exists"):
            raise TypeError(
                f"a client of the type {type(client).__name__}: one of redis is expected, such as "
                "redis.Redis.from_url(…), or redis.asyncio.Redis.from_url(…)"
            )
        self._client = client
        self._prefix = prefix
        self._seconds = seconds

    def has(self, key: str) -> Any:
        """Return a true value if a key is remembered; awaitable with an asyncio client."""
        return self._client.exists(self._prefix + key)

    def add(self, key: str) -> Any:
        """Remember a key; the result is awaitable with an asyncio client."""
        return self._client.set(self._prefix + key, 1, ex=self._seconds)

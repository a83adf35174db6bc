"""Idempotency keys of requests to publish: a request that is sent again is recognized and not published again.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from soundpost.core.peers import IdempotencyKey, Reception

MAX_KEYS: Final = 10_000
"""Largest number of keys kept for one app: some 4 MB."""
LIFETIME: Final = 120
"""Seconds that a key is kept; a sender that has got no answer for so long has given up."""


class _StoredKey(NamedTuple):
    digest: str
    until: float


class IdempotencyKeys:
    """Idempotency keys taken lately on this host, by app.

    An app's oldest keys are forgotten beyond ``max_keys``, and after ``lifetime`` seconds. ``clock`` is in seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, max_keys: int = MAX_KEYS, lifetime: float = LIFETIME
    ) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._lifetime = lifetime
        self._by_app: dict[str, OrderedDict[str, _StoredKey]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_app.values()))

    def receive(self, app_id: str, key: IdempotencyKey) -> Reception:
        """Take a new key, or tell how a known one was used. A repeated key keeps its age."""
        now = self._clock()
        stored = self._by_app.setdefault(app_id, OrderedDict())
        _drop_expired(stored, now)
        known = stored.get(key.key)
        if known is not None:
            return "repeated" if known.digest == key.digest else "different"
        if len(stored) >= self._max_keys:
            stored.popitem(last=False)
        stored[key.key] = _StoredKey(key.digest, now + self._lifetime)
        return "new"

    def drop_expired(self) -> None:
        """Forget expired keys."""
        now = self._clock()
        for app_id, stored in list(self._by_app.items()):
            _drop_expired(stored, now)
            if not stored:
                del self._by_app[app_id]


def _drop_expired(stored: OrderedDict[str, _StoredKey], now: float) -> None:
    """Forget expired keys of one app. The oldest come first, so no others are looked at."""
    while stored and next(iter(stored.values())).until <= now:
        stored.popitem(last=False)

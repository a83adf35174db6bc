"""The keys of requests to publish that were taken: one that is sent again is known by its key, and not published again.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from soundpost.core.peers import Reception, RequestKey

MAX_KEYS: Final = 10_000
"""Of one app: some 4 MB."""
LIFETIME: Final = 120
"""Seconds; a sender that has got no answer for so long has given up."""


class _Taken(NamedTuple):
    digest: str
    until: float


class RequestKeys:
    """What was taken lately on this host, app by app. Beyond ``max_keys`` or ``lifetime`` the oldest are forgotten."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, max_keys: int = MAX_KEYS, lifetime: float = LIFETIME
    ) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._lifetime = lifetime
        self._by_app: dict[str, OrderedDict[str, _Taken]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_app.values()))

    def receive(self, app_id: str, request: RequestKey) -> Reception:
        """Take a request whose key is new. One that is repeated makes its key no younger."""
        now = self._clock()
        taken = self._by_app.setdefault(app_id, OrderedDict())
        _drop_expired(taken, now)
        known = taken.get(request.key)
        if known is not None:
            return "repeated" if known.digest == request.digest else "different"
        if len(taken) >= self._max_keys:
            taken.popitem(last=False)
        taken[request.key] = _Taken(request.digest, now + self._lifetime)
        return "new"

    def drop_expired(self) -> None:
        """Forget what is too old."""
        now = self._clock()
        for app_id, taken in list(self._by_app.items()):
            _drop_expired(taken, now)
            if not taken:
                del self._by_app[app_id]


def _drop_expired(taken: OrderedDict[str, _Taken], now: float) -> None:
    """The oldest come first, so this looks at no others."""
    while taken and next(iter(taken.values())).until <= now:
        taken.popitem(last=False)

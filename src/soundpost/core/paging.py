"""Pages of the smallest names among very many, built for some milliseconds in each loop turn, without a full sort.

The number of different names on several nodes is estimated from samples: each node's smallest hashes of its names.
Source: Bar-Yossef et al., "Counting Distinct Elements in a Data Stream" (2002), k minimum values.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Final, Generic, TypeVar

from soundpost.core.outbox import CallSoon

T = TypeVar("T")

TURN: Final = 0.004
"""Seconds of a loop turn in which entries are looked at."""
_STEP: Final = 50
"""Number of entries that are looked at between two looks at the clock."""
SAMPLE: Final = 1_024
"""Number of hashes in a sample. For fewer names the estimate is exact, for more names its error is some 3 %."""
_HASHES: Final = 2**64


class Page(Generic[T]):
    """A page of entries while it is built.

    ``name_of`` returns the name of an entry, or None for an entry that does not match. ``then`` is called with three
    values: the entries of the ``limit`` smallest names behind ``after``, in order; the number of all matching entries;
    the sample of their names, empty unless ``sampled``. ``clock`` is in seconds.
    """

    def __init__(
        self,
        entries: Sequence[T],
        name_of: Callable[[T], str | None],
        then: Callable[[list[T], int, list[int]], None],
        *,
        after: str,
        limit: int,
        call_soon: CallSoon,
        clock: Callable[[], float],
        sampled: bool = False,
    ) -> None:
        self._entries = entries
        self._name_of = name_of
        self._then = then
        self._after = after
        self._limit = max(1, limit)
        self._call_soon = call_soon
        self._clock = clock
        self._sampled = sampled
        self._at = 0
        self._found: dict[str, T] = {}
        self._bound: str | None = None  # a name behind this one does not belong to the page
        self._total = 0
        self._hashes: set[int] = set()
        self._largest_hash = _HASHES

    def make(self) -> None:
        """Check entries for some milliseconds, and continue in the next loop turn if there are more."""
        deadline = self._clock() + TURN
        while self._at < len(self._entries):
            self._look_at(self._entries[self._at : self._at + _STEP])
            self._at += _STEP
            if self._clock() >= deadline:
                self._call_soon(self.make)
                return
        self._cut_off()
        self._then(list(self._found.values()), self._total, smallest(self._hashes))

    def _look_at(self, entries: Iterable[T]) -> None:
        for entry in entries:
            name = self._name_of(entry)
            if name is None:
                continue
            self._total += 1
            if self._sampled:
                self._sample(name)
            if name > self._after and (self._bound is None or name < self._bound):
                self._found[name] = entry
                if len(self._found) >= 4 * self._limit:
                    self._cut_off()

    def _cut_off(self) -> None:
        names = sorted(self._found)[: self._limit]
        self._found = {name: self._found[name] for name in names}
        if len(names) == self._limit:
            self._bound = names[-1]

    def _sample(self, name: str) -> None:
        number = hash_of(name)
        if number < self._largest_hash:
            self._hashes.add(number)
            if len(self._hashes) >= 4 * SAMPLE:
                kept = smallest(self._hashes)
                self._hashes, self._largest_hash = set(kept), kept[-1]


class OneByOne:
    """Queue that calls one callback in each loop turn, so that all pages together take one slice of a turn.

    A callback that a running callback adds is called next, before others that wait. So a page is completed before the
    next one begins.
    """

    def __init__(self, call_soon: CallSoon) -> None:
        self._call_soon = call_soon
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_calling = False

    def __call__(self, callback: Callable[[], None]) -> None:
        """Call a callback in a later loop turn."""
        if self._is_calling:
            self._waiting.appendleft(callback)
            return
        self._waiting.append(callback)
        if len(self._waiting) == 1:
            self._call_soon(self._call_next)

    def _call_next(self) -> None:
        callback = self._waiting.popleft()
        self._is_calling = True
        try:
            callback()
        finally:
            self._is_calling = False
            if self._waiting:
                self._call_soon(self._call_next)


def hash_of(name: str) -> int:
    """Return the hash of a name for samples. All nodes compute the same hash."""
    return int.from_bytes(blake2b(name.encode(errors="replace"), digest_size=8).digest(), "big")


def smallest(hashes: Iterable[int]) -> list[int]:
    """Return the sample of some hashes, or of several samples put together."""
    return sorted(set(hashes))[:SAMPLE]


def number_of_names(sample: list[int]) -> int:
    """Return the estimated number of different names behind a sample."""
    if len(sample) < SAMPLE:
        return len(sample)
    return round((SAMPLE - 1) / sample[-1] * _HASHES)

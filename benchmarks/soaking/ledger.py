"""Check of subscriptions: each event of a channel arrives once and in order.

An author (a publisher, or a client that whispers) numbers what it says on a channel from 0. A number that a server
may have lost without breaking its word, as its answer never came, is ``doubtful``; one that a client must not hear,
as its ``socket_id`` was given, is ``withheld`` from it.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from itertools import pairwise

from soundpost.tools.bench.error_counts import ErrorCounts
from soundpost.wire.channel_names import kind_of

NOTHING = array("Q")
LOST, DOUBLE, OUT_OF_ORDER, ECHOED = "lost", "double", "out of order", "heard though not meant for it"


class Stream:
    """What one author says on one channel."""

    __slots__ = ("answered", "doubtful", "sent", "withheld")

    def __init__(self) -> None:
        self.sent = 0
        self.answered = 0
        """Numbers below this one are settled: nobody who subscribes later gets them, but from a cache."""
        self.doubtful: set[int] = set()
        self.withheld: defaultdict[str, set[int]] = defaultdict(set)

    def next(self) -> int:
        """The number of what is said now."""
        self.sent += 1
        return self.sent - 1


class Ledger:
    """All streams, by channel and author."""

    def __init__(self) -> None:
        self.streams: defaultdict[str, defaultdict[str, Stream]] = defaultdict(lambda: defaultdict(Stream))

    def sent(self, channel: str) -> dict[str, int]:
        return {author: stream.sent for author, stream in self.streams[channel].items()}

    def answered(self, channel: str) -> dict[str, int]:
        return {author: stream.answered for author, stream in self.streams[channel].items()}

    def settle(self) -> None:
        """Whatever was said has arrived by now, or has been counted as lost."""
        for authors in self.streams.values():
            for stream in authors.values():
                stream.answered = stream.sent
                stream.doubtful.clear()
                stream.withheld.clear()


class Hearing:
    """One subscription of one client, from when it asked for it until it is no more."""

    def __init__(self, ledger: Ledger, listener: str, channel: str) -> None:
        self.channel = channel
        self._ledger = ledger
        self._listener = listener
        self._earliest = ledger.answered(channel)
        self._latest: dict[str, int] | None = None
        self._heard: dict[str, array[int]] = defaultdict(lambda: array("Q"))

    def begin(self) -> None:
        """The server has confirmed: all that is said from now on is to be heard. What was said since the server was
        asked may be; none of what was said before, but for a cache channel's last event, which must be."""
        self._latest = self._ledger.sent(self.channel)

    def hear(self, author: str, number: int) -> None:
        self._heard[author].append(number)

    def judge(self, faults: ErrorCounts, *, lasts: bool) -> Counter[bool]:
        """Add what is wrong to the faults; how much was heard from clients (True) and publishers (False).

        ``lasts``: the subscription is to have heard all there was; else it ended somewhere on the way.
        """
        checked: Counter[bool] = Counter()
        if self._latest is None:
            return checked
        for author, stream in self._ledger.streams[self.channel].items():
            heard = self._heard.get(author, NOTHING)
            checked[is_client(author)] += len(heard)
            for kind, numbers in self._faults(author, stream, heard, self._latest, lasts).items():
                if numbers:
                    example = f"{self._listener} on {self.channel}: no. {min(numbers)} of {author}"
                    faults.add(kind, example, len(numbers))
        return checked

    def _faults(
        self, author: str, stream: Stream, heard: array[int], latest: dict[str, int], lasts: bool
    ) -> dict[str, list[int]]:
        if author == self._listener:
            return {ECHOED: list(heard)}
        from_cache = kind_of(self.channel).is_cache
        begin = max(0, latest.get(author, 0) - from_cache)
        earliest = max(0, self._earliest.get(author, 0) - from_cache)
        end = stream.sent if lasts else max(heard, default=begin - 1) + 1
        counts = Counter(heard)
        withheld = stream.withheld.get(self._listener, set())
        first = max(earliest, min(begin, min(heard, default=begin)))
        due = set(range(first, end)) - withheld - stream.doubtful
        return {
            LOST: list(due - counts.keys()),
            DOUBLE: [number for number, count in counts.items() for _ in range(count - 1)],
            OUT_OF_ORDER: [after for before, after in pairwise(heard) if after < before],
            ECHOED: [number for number in counts if number in withheld or number < earliest],
        }


def is_client(author: str) -> bool:
    return author.startswith("client-")

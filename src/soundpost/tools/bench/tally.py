"""Counters of all connections of one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from soundpost.tools.bench.error_counts import ErrorCounts
from soundpost.tools.bench.histogram import LatencyHistogram
from soundpost.tools.bench.messages import Second
from soundpost.tools.bench.payload import BenchEvent, is_notice, read_event
from soundpost.tools.bench.sequences import Sequences
from soundpost.wire.frames import TEXT, Message

_SECOND = 1_000_000_000


class CountedClient(Protocol):
    """Connection whose events and notices a :class:`Tally` counts."""

    channel: str
    passing: bool
    """True for a connection that comes and goes during the run."""
    sequences: Sequences
    notices: int
    """Notices of members received by this connection."""


class Tally:
    """Counters of a process. ``last_chunk`` is the read whose events :meth:`count` counts."""

    def __init__(self) -> None:
        self.last_chunk = b""
        self.started_at = 0
        self.received = 0
        self.passing = 0
        self.dropped = 0
        self.duplicates = 0
        self.out_of_order = 0
        self.last_at = 0
        self.pings = 0
        self.pongs = 0
        self.round_trip = LatencyHistogram()
        self.seconds: list[Second] = []
        self.error_counts = ErrorCounts()
        self._events: list[BenchEvent] = []
        self._notices = 0
        self._lost: Counter[int] = Counter()
        self._second_ends = 0

    def parse(self, messages: list[Message]) -> bool:
        """Parse messages for :meth:`count`; return False if one is neither an event nor a notice of a member."""
        self.last_chunk = b""
        events: list[BenchEvent] = []
        notices = 0
        for opcode, payload in messages:
            if opcode != TEXT:
                return False
            event = read_event(payload)
            if event is not None:
                events.append(event)
            elif is_notice(payload):
                notices += 1
            else:
                return False
        self._events, self._notices = events, notices
        return True

    def count(self, client: CountedClient, now: int) -> None:
        """Count the parsed messages for one connection; ``now`` in nanoseconds of the monotonic clock."""
        client.notices += self._notices
        started_at = self.started_at
        for stream, number, sent_at in self._events:
            if not client.sequences.add(stream, number, (sent_at - started_at) // _SECOND):
                continue
            if client.passing:
                self.passing += 1
            else:
                self.received += 1
            if now >= self._second_ends:
                self._next_second(now)
            self.seconds[-1].latency.add(now - sent_at)
            self.last_at = now

    def pong(self, round_trip: int) -> None:
        """Count a pong; ``round_trip`` in nanoseconds."""
        self.pongs += 1
        self.round_trip.add(round_trip)

    def end_subscription(self, client: CountedClient) -> None:
        """Add the duplicates, disorder and gaps of a subscription that is over."""
        self._add_account(client, {})

    def finish(
        self,
        clients: Iterable[CountedClient],
        sent: Mapping[str, Mapping[int, int]],
        unconfirmed: Mapping[int, set[int]],
        last_second: int,
    ) -> int:
        """Return the number of lost events; ``sent`` are the numbers of events by channel and stream."""
        for client in clients:
            if not client.passing:
                for stream, count in sent[client.channel].items():
                    self._lost[last_second] += client.sequences.missing_at_end(
                        stream, count, unconfirmed.get(stream, ())
                    )
            self._add_account(client, unconfirmed)
        for second, count in self._lost.items():
            if count:
                self._second(min(max(second, 0), last_second)).lost += count
        return self._lost.total()

    def _add_account(self, client: CountedClient, unconfirmed: Mapping[int, set[int]]) -> None:
        self.duplicates += client.sequences.duplicates
        self.out_of_order += client.sequences.out_of_order
        self._lost.update(client.sequences.gaps(unconfirmed))

    def _second(self, number: int) -> Second:
        while len(self.seconds) <= number:
            self.seconds.append(Second())
        return self.seconds[number]

    def _next_second(self, now: int) -> None:
        number = max(0, (now - self.started_at) // _SECOND)
        self._second(number)
        self._second_ends = self.started_at + (number + 1) * _SECOND

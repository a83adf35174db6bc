"""What the leading process and its children say to each other: one JSON object per line, on stdin and stdout.

A child ends when its stdin does: also when the leading process was killed.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from soundpost.redaction import redacted_fields
from soundpost.tools.bench.faults import Faults
from soundpost.tools.bench.histogram import Histogram
from soundpost.tools.bench.scenario import Settings


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server is, and as whom to come. ``address`` is what its host name was resolved to."""

    base_url: str
    address: str
    port: int
    verify: bool
    app_id: str
    key: str
    secret: str
    spread: bool
    """Connect from many loopback addresses: the ports of one are too few for many connections."""

    def __repr__(self) -> str:
        return redacted_fields(self, "secret")


class Plan(msgspec.Struct, tag=True, kw_only=True):
    """The first line a child gets. ``index`` is its number among the children of its role."""

    role: Literal["receiver", "publisher"]
    index: int
    settings: Settings
    endpoint: Endpoint


class Connect(msgspec.Struct, tag=True):
    """Open all connections within ``limit`` seconds."""

    limit: float


class Start(msgspec.Struct, tag=True):
    """The run begins ``at`` this time, in nanoseconds of the monotonic clock."""

    at: int


class Stop(msgspec.Struct, tag=True):
    """The run is over: publish no more, come and go no more. Answered with Stopped."""


class Finish(msgspec.Struct, tag=True):
    """What there was to receive: events ``sent`` by stream, but for the ``unconfirmed`` (stream, number); notices of
    members by channel. What is missing is waited for until none came for ``silence`` seconds. Answered by a report."""

    sent: list[int]
    unconfirmed: list[tuple[int, int]]
    notices: list[int]
    silence: float


class Ready(msgspec.Struct, tag=True):
    """A child is set up; a receiver: has opened what it could."""


class Progress(msgspec.Struct, tag=True):
    """How things stand, several times a second; all figures since the start of the process."""

    open: int = 0
    failed: int = 0
    received: int = 0
    published: int = 0


class Effort(msgspec.Struct):
    """What a process was asked for: its share of one core while connecting, while events flowed and while it waited
    for the last ones, for ``drain_time`` seconds; and how late its event loop ran (nanoseconds)."""

    name: str
    connecting: float = 0.0
    running: float = 0.0
    draining: float = 0.0
    drain_time: float = 0.0
    lag: Histogram = msgspec.field(default_factory=Histogram)


class Stopped(msgspec.Struct, tag=True):
    """The answer to Stop: how many events were ``sent`` by stream, and those of them the server has not said yes to as
    (stream, number); how often members left or came back, by channel."""

    sent: list[int] = []
    unconfirmed: list[tuple[int, int]] = []
    moves: list[int] = []


class PublisherReport(msgspec.Struct, tag=True):
    """What the publisher measured, in nanoseconds: ``answer`` from request to answer, ``delay`` from when an event was
    due to its request. ``seconds`` are events answered with yes by second of the run."""

    published: int
    failed: int
    last_at: int
    seconds: list[int]
    answer: Histogram
    delay: Histogram
    faults: Faults
    effort: Effort


class Second(msgspec.Struct):
    """One second of the run as a receiver saw it."""

    latency: Histogram = msgspec.field(default_factory=Histogram)
    lost: int = 0


class ReceiverReport(msgspec.Struct, tag=True):
    """What one process of connections measured. Events are counted for those held to account from the first on
    (``expected``, ``received``) and for those that come and go (``passing``)."""

    opened: int
    failed: int
    dropped: int
    reconnected: int
    connect_time: float
    subscribe: Histogram
    expected: int
    received: int
    passing: int
    lost: int
    duplicates: int
    out_of_order: int
    notices_expected: int
    notices_received: int
    pings: int
    pongs: int
    round_trip: Histogram
    last_at: int
    seconds: list[Second]
    faults: Faults
    effort: Effort


Command = Plan | Connect | Start | Stop | Finish
Answer = Ready | Progress | Stopped | PublisherReport | ReceiverReport

encode: Final = msgspec.json.Encoder().encode
decode_command: Final = msgspec.json.Decoder(Command).decode
decode_answer: Final = msgspec.json.Decoder(Answer).decode

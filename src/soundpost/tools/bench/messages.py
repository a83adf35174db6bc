"""Messages between the leading process and its children: one JSON object per line, on stdin and stdout.

A child ends when its stdin does: also when the leading process was killed.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from soundpost.redaction import redacted_fields
from soundpost.tools.bench.error_counts import ErrorCounts
from soundpost.tools.bench.histogram import LatencyHistogram
from soundpost.tools.bench.scenario import BenchSettings


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Server and app under test. ``address`` is the IP address of the server's host."""

    base_url: str
    address: str
    port: int
    verify: bool
    app_id: str
    key: str
    secret: str
    spread: bool
    """True to connect from many loopback addresses: one has too few ports for many connections."""

    def __repr__(self) -> str:
        return redacted_fields(self, "secret")


class BenchPlan(msgspec.Struct, tag=True, kw_only=True):
    """First line that a child receives. ``index`` is its number among the children of its role."""

    role: Literal["receiver", "publisher"]
    index: int
    settings: BenchSettings
    endpoint: Endpoint


class Connect(msgspec.Struct, tag=True):
    """Command to open all connections within ``limit`` seconds."""

    limit: float


class Start(msgspec.Struct, tag=True):
    """Command to begin the run ``at`` a time, in nanoseconds of the monotonic clock."""

    at: int


class Stop(msgspec.Struct, tag=True):
    """Command to end publishing, leaving and reconnecting. Answered with Stopped."""


class Finish(msgspec.Struct, tag=True):
    """Command to wait for the last events and report. Answered with a report.

    Expected are the events ``sent`` by stream without the ``unconfirmed`` (stream, number), and ``notices`` of members
    by channel. The wait ends after ``idle_limit`` seconds without any of them.
    """

    sent: list[int]
    unconfirmed: list[tuple[int, int]]
    notices: list[int]
    idle_limit: float


class ChildReady(msgspec.Struct, tag=True):
    """Answer of a child that is set up, or of a receiver that has opened its connections."""


class Progress(msgspec.Struct, tag=True):
    """Progress of a child, sent several times a second; all figures since the start of the process."""

    open: int = 0
    failed: int = 0
    received: int = 0
    published: int = 0


class CpuUsage(msgspec.Struct):
    """CPU of a process: shares of one core while connecting, while publishing, and while waiting for the last events.

    The wait took ``drain_time`` seconds. ``lag`` is the delay of the event loop in nanoseconds.
    """

    name: str
    connecting: float = 0.0
    running: float = 0.0
    draining: float = 0.0
    drain_time: float = 0.0
    lag: LatencyHistogram = msgspec.field(default_factory=LatencyHistogram)


class Stopped(msgspec.Struct, tag=True):
    """Answer to Stop: events ``sent`` by stream, those without the server's 200 as (stream, number).

    ``moves`` counts by channel how often members left or came back.
    """

    sent: list[int] = []
    unconfirmed: list[tuple[int, int]] = []
    moves: list[int] = []


class PublisherReport(msgspec.Struct, tag=True):
    """Figures of the publisher, in nanoseconds.

    ``answer`` is the time from request to answer, ``delay`` from an event's due time to its request. ``seconds`` counts
    confirmed events for each second of the run.
    """

    published: int
    failed: int
    last_at: int
    seconds: list[int]
    answer: LatencyHistogram
    delay: LatencyHistogram
    error_counts: ErrorCounts
    cpu: CpuUsage


class Second(msgspec.Struct):
    """One second of the run as a receiver saw it."""

    latency: LatencyHistogram = msgspec.field(default_factory=LatencyHistogram)
    lost: int = 0


class ReceiverReport(msgspec.Struct, tag=True):
    """Figures of one process of connections.

    ``expected`` and ``received`` count events of connections that stay throughout, ``passing`` those of connections
    that come and go.
    """

    opened: int
    failed: int
    dropped: int
    reconnected: int
    connect_time: float
    subscribe: LatencyHistogram
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
    round_trip: LatencyHistogram
    last_at: int
    seconds: list[Second]
    error_counts: ErrorCounts
    cpu: CpuUsage


ChildCommand = BenchPlan | Connect | Start | Stop | Finish
ChildAnswer = ChildReady | Progress | Stopped | PublisherReport | ReceiverReport

encode: Final = msgspec.json.Encoder().encode
decode_child_command: Final = msgspec.json.Decoder(ChildCommand).decode
decode_child_answer: Final = msgspec.json.Decoder(ChildAnswer).decode

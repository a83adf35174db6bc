"""What a run does: its scenario and numbers, which connection is on which channel, which stream goes where."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Final

import msgspec

MOVE_PERIOD: Final = 2.0
"""Seconds from one departure of a connection that comes and goes to the next; half of them it is away (presence)."""
PING_PERIOD: Final = 5.0
"""Seconds between two pings of one idle connection."""
_PRESENCE_MEMBERS: Final = 100
"""Members a presence channel is given by default: as many as hosted Pusher allows."""
_CONNECTIONS_PER_PROCESS: Final = 250
"""Fewer connections than that are not worth another process."""


class Scenario(StrEnum):
    """What the connections do while events flow."""

    FAN_OUT = "fan-out"
    ONE_TO_ONE = "one-to-one"
    PRESENCE = "presence"
    CHURN = "churn"
    IDLE = "idle"


_RATES: Final = {
    Scenario.FAN_OUT: 20.0,
    Scenario.ONE_TO_ONE: 500.0,
    Scenario.PRESENCE: 50.0,
    Scenario.CHURN: 20.0,
    Scenario.IDLE: 0.0,
}
_PREFIXES: Final = {Scenario.ONE_TO_ONE: "private-", Scenario.PRESENCE: "presence-"}
_ONE_PASSING_IN: Final = {Scenario.PRESENCE: 10, Scenario.CHURN: 4}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``rate`` in events per second of all publishers, 0 for as fast as the server answers; ``size`` in bytes
    of event data; ``duration`` in seconds; ``processes`` that hold connections; ``run`` makes its channels its own."""

    scenario: Scenario
    connections: int
    channels: int
    rate: float
    size: int
    duration: float
    publishers: int
    processes: int
    run: str

    @property
    def publishes(self) -> bool:
        """Whether events flow."""
        return self.scenario is not Scenario.IDLE

    @property
    def streams(self) -> int:
        """How many streams of events there are: every channel and every publisher has one at least."""
        return max(self.channels, self.publishers) if self.publishes else 0

    def channel(self, number: int) -> str:
        """The name of a channel."""
        return f"{_PREFIXES.get(self.scenario, '')}bench-{self.run}-{number}"

    def channel_of(self, connection: int) -> int:
        """The channel a connection subscribes to."""
        return connection % self.channels

    def is_passing(self, connection: int) -> bool:
        """Whether a connection comes and goes during the run: one of ten (presence) or of four (churn) of a channel."""
        one_in = _ONE_PASSING_IN.get(self.scenario)
        return one_in is not None and connection // self.channels % one_in == 1

    def channel_of_stream(self, stream: int) -> int:
        """The channel the events of a stream go to."""
        return stream % self.channels

    def streams_of(self, channel: int) -> range:
        """The streams that go to a channel."""
        return range(channel, self.streams, self.channels)

    def streams_by(self, publisher: int) -> range:
        """The streams a publisher sends."""
        return range(publisher, self.streams, self.publishers)


def default_rate(scenario: Scenario) -> float:
    """Events per second that a modest machine manages with 1,000 connections, server and clients together."""
    return _RATES[scenario]


def default_channels(scenario: Scenario, connections: int) -> int:
    """One channel; one for each connection (one-to-one) or for each hundred (presence)."""
    if scenario is Scenario.ONE_TO_ONE:
        return connections
    if scenario is Scenario.PRESENCE:
        return -(-connections // _PRESENCE_MEMBERS)
    return 1


def default_processes(connections: int) -> int:
    """One for every core but two, which the server and the publisher need; none without enough to do."""
    cores = os.cpu_count() or 1
    return max(1, min(cores - 2, -(-connections // _CONNECTIONS_PER_PROCESS), 16))

"""Scenario and numbers of a run, and its distribution of connections, channels and streams."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Final

import msgspec

MOVE_PERIOD: Final = 2.0
"""Seconds between two departures of a connection that comes and goes; on presence channels it is away half of them."""
PING_PERIOD: Final = 5.0
"""Seconds between two pings of one idle connection."""
_PRESENCE_MEMBERS: Final = 100
"""Members of a presence channel by default: as many as hosted Pusher allows."""
_CONNECTIONS_PER_PROCESS: Final = 250
"""Connections that are worth another process."""


class Scenario(StrEnum):
    """Behaviour of the connections during the run."""

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


class BenchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one run.

    ``rate`` in events per second of all publishers, 0 for as fast as the server answers; ``size`` in bytes of event
    data; ``duration`` in seconds; ``processes`` hold connections; ``run`` is part of the channels' names.
    """

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
        """True if events are published."""
        return self.scenario is not Scenario.IDLE

    @property
    def streams(self) -> int:
        """The number of streams: every channel and every publisher has at least one."""
        return max(self.channels, self.publishers) if self.publishes else 0

    def channel(self, number: int) -> str:
        """Return the name of a channel."""
        return f"{_PREFIXES.get(self.scenario, '')}bench-{self.run}-{number}"

    def channel_of(self, connection: int) -> int:
        """Return the number of the channel that a connection subscribes to."""
        return connection % self.channels

    def is_passing(self, connection: int) -> bool:
        """Return whether a connection comes and goes: one of ten (presence) or of four (churn) of a channel."""
        one_in = _ONE_PASSING_IN.get(self.scenario)
        return one_in is not None and connection // self.channels % one_in == 1

    def channel_of_stream(self, stream: int) -> int:
        """Return the number of the channel to which the events of a stream go."""
        return stream % self.channels

    def streams_of(self, channel: int) -> range:
        """Return the streams that go to a channel."""
        return range(channel, self.streams, self.channels)

    def streams_by(self, publisher: int) -> range:
        """Return the streams that a publisher sends."""
        return range(publisher, self.streams, self.publishers)


def default_rate(scenario: Scenario) -> float:
    """Return the events per second that a modest machine handles, server and 1,000 connections together."""
    return _RATES[scenario]


def default_channels(scenario: Scenario, connections: int) -> int:
    """Return one channel; one for each connection (one-to-one) or for each hundred (presence)."""
    if scenario is Scenario.ONE_TO_ONE:
        return connections
    if scenario is Scenario.PRESENCE:
        return -(-connections // _PRESENCE_MEMBERS)
    return 1


def default_processes(connections: int) -> int:
    """Return one process for each core but two, which server and publisher need; fewer for few connections."""
    cores = os.cpu_count() or 1
    return max(1, min(cores - 2, -(-connections // _CONNECTIONS_PER_PROCESS), 16))

"""Events that a host keeps beside Redis, and that become too old."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.redis import history
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.history import Histories
from soundpost.backplane.redis.kept_channel import KeptChannel
from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.servers import Standalone
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history import KeptEvent
from soundpost.core.slices import TURN

RULE = HistorySettings(channels=("*",), age=1)
OLD, NEW = 1, 1_500_000
"""Offsets in microseconds; the time is 2 s."""


async def test_old_events_of_very_many_channels_are_forgotten_over_several_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "microseconds", lambda: 2_000_000)
    waiting: list[Callable[[], None]] = []

    def call_later(delay: float, callback: Callable[..., None], *arguments: Any) -> None:
        waiting.append(lambda: callback(*arguments))

    redis = Redis(Standalone(Address("127.0.0.1", 1), Login()), "test")
    histories = Histories({}, redis, max_size=1 << 20, clock=asyncio.get_running_loop().time, call_later=call_later)
    histories.publishing.turn_clock = itertools.count(0, TURN * 0.4).__next__  # three channels take a turn
    channels = []
    for number in range(10):
        channel = SharedChannel("1", f"room-{number}", b"", b"", Occupancy())
        channel.history = KeptChannel(channel.name, RULE)
        histories.rings.add(channel.history, KeptEvent(NEW if number % 3 else OLD, b"frame", None))
        channels.append(channel)

    def kept() -> list[int]:
        return [len(channel.history.ring.events) for channel in channels if channel.history is not None]

    histories.housekeep(channels)
    histories.housekeep(channels)  # the first round is not over
    assert len(waiting) == 1
    assert kept() == [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    turns = 0
    while waiting:
        turns += 1
        waiting.pop()()
    assert turns == 3
    assert kept() == [0, 1, 1, 0, 1, 1, 0, 1, 1, 0]
    histories.housekeep(channels)
    assert len(waiting) == 1

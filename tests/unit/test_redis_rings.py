"""Events that a host keeps beside Redis, and that become too old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from soundpost.backplane.redis import history
from soundpost.backplane.redis.history import Histories
from soundpost.backplane.redis.kept_channel import KeptChannel
from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.servers import Standalone
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history import KeptEvent

RULE = HistorySettings(channels=("*",), age=1)
OLD, NEW = 1, 1_500_000
"""Offsets in microseconds; the time is 2 s."""


async def test_old_events_of_very_many_channels_are_forgotten_over_several_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "_AT_ONCE", 3)
    monkeypatch.setattr(history, "microseconds", lambda: 2_000_000)
    waiting: list[Callable[[], None]] = []

    def call_later(delay: float, callback: Callable[..., None], *arguments: Any) -> None:
        waiting.append(lambda: callback(*arguments))

    redis = Redis(Standalone(Address("127.0.0.1", 1), Login()), "test")
    histories = Histories({}, redis, max_size=1 << 20, clock=asyncio.get_running_loop().time, call_later=call_later)
    channels = [KeptChannel(f"room-{number}", RULE) for number in range(10)]
    for number, channel in enumerate(channels):
        histories.rings.add(channel, KeptEvent(NEW if number % 3 else OLD, b"frame", None))

    histories.housekeep()
    histories.housekeep()  # the first round is not over
    assert len(waiting) == 1
    assert [len(channel.ring.events) for channel in channels] == [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    turns = 0
    while waiting:
        turns += 1
        waiting.pop()()
    assert turns == 3
    assert [len(channel.ring.events) for channel in channels] == [0, 1, 1, 0, 1, 1, 0, 1, 1, 0]
    histories.housekeep()
    assert len(waiting) == 1

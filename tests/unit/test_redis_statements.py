"""Many channels are stated to Redis some at a time: in each loop turn, and under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.redis import statements
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.statements import state_in_slices

CHANNELS = [SharedChannel("1", f"room-{number}", b"", b"", Occupancy()) for number in range(100)]


class Stated:
    """Channels that were stated, each of which takes a millisecond, and their answers."""

    def __init__(self, answers_at_once: bool = True) -> None:
        self.names: list[str] = []
        self.answers: list[Callable[[], None]] = []
        self._answers_at_once = answers_at_once
        self._now = 0.0

    def clock(self) -> float:
        return self._now

    def state(self, channel: SharedChannel, answered: Callable[[], None]) -> bool:
        self._now += 0.001
        self.names.append(channel.name)
        if self._answers_at_once:
            answered()
        else:
            self.answers.append(answered)
        return True


async def turn() -> None:
    await asyncio.sleep(0)


async def test_a_loop_turn_states_a_few_channels() -> None:
    stated = Stated()
    task = asyncio.ensure_future(state_in_slices(CHANNELS, stated.state, stated.clock))
    numbers = []
    while not task.done():
        before = len(stated.names)
        await turn()
        numbers.append(len(stated.names) - before)
    assert max(numbers) <= 5
    assert stated.names == [channel.name for channel in CHANNELS]


async def test_no_more_are_under_way_than_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "MAX_UNANSWERED", 7)
    stated = Stated(answers_at_once=False)
    task = asyncio.ensure_future(state_in_slices(CHANNELS, stated.state, stated.clock))
    for _ in range(20):
        await turn()
    assert len(stated.names) == 7

    stated.answers.pop()()
    for _ in range(3):
        await turn()
    assert len(stated.names) == 8
    task.cancel()


async def test_all_are_stated_once_all_are_answered() -> None:
    stated = Stated(answers_at_once=False)
    task = asyncio.ensure_future(state_in_slices(CHANNELS[:10], stated.state, stated.clock))
    for _ in range(20):
        await turn()
    assert len(stated.names) == 10
    while stated.answers:
        assert not task.done()
        stated.answers.pop()()
        for _ in range(3):
            await turn()
    assert task.done()


async def test_channels_with_nothing_to_state_take_turns_too() -> None:
    stated = Stated()

    def state_nothing(channel: SharedChannel, answered: Callable[[], None]) -> bool:
        return not stated.state(channel, lambda: None)

    task = asyncio.ensure_future(state_in_slices(CHANNELS, state_nothing, stated.clock))
    await turn()
    assert 0 < len(stated.names) <= 5
    await task
    assert len(stated.names) == 100

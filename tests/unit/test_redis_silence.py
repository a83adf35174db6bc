"""Redis is silent if it does not answer while this process runs, and not if the process has stood still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.redis import COMMAND_TIMEOUT, Redis
from soundpost.backplane.redis.servers import Standalone


@pytest.fixture
def stand_still(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that lets seconds pass in which the loop does nothing."""
    passed = 0.0

    def stand_still(seconds: float) -> None:
        nonlocal passed
        loop = asyncio.get_running_loop()
        passed += seconds
        monkeypatch.setattr(loop, "time", lambda: type(loop).time(loop) + passed)

    return stand_still


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_answer_that_came_while_the_process_stood_still_is_read(stand_still: Callable[[float], None]) -> None:
    redis = Redis(Standalone(Address("127.0.0.1", 1), Login()), "test")
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask() -> str:
        return await answer

    asked = asyncio.ensure_future(redis._in_time(ask()))
    await turns()
    stand_still(COMMAND_TIMEOUT)
    await turns()
    assert not asked.done()
    answer.set_result("here")
    assert await asked == "here"


async def test_a_server_that_does_not_answer_is_silent(stand_still: Callable[[float], None]) -> None:
    redis = Redis(Standalone(Address("127.0.0.1", 1), Login()), "test")
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask() -> str:
        return await answer

    asked = asyncio.ensure_future(redis._in_time(ask()))
    for _ in range(2):
        await turns()
        stand_still(COMMAND_TIMEOUT / 2)
    with pytest.raises(TimeoutError):
        await asked
    assert answer.cancelled()

"""Redis is silent if it does not answer while this process runs, and not if the process has stood still."""

from __future__ import annotations

import asyncio

import pytest

from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.redis import COMMAND_TIMEOUT, Redis
from soundpost.backplane.redis.servers import Standalone
from support.standing_still import stand_still


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_answer_that_came_while_the_process_stood_still_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    redis = Redis(Standalone(Address("127.0.0.1", 1), Login()), "test")
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask() -> str:
        return await answer

    asked = asyncio.ensure_future(redis._in_time(ask()))
    await turns()
    stand_still(monkeypatch, COMMAND_TIMEOUT)
    await turns()
    assert not asked.done()
    answer.set_result("here")
    assert await asked == "here"


async def test_a_server_that_does_not_answer_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    redis = Redis(Standalone(Address("127.0.0.1", 1), Login()), "test")
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask() -> str:
        return await answer

    asked = asyncio.ensure_future(redis._in_time(ask()))
    for _ in range(2):
        await turns()
        stand_still(monkeypatch, COMMAND_TIMEOUT / 2)
    with pytest.raises(TimeoutError):
        await asked
    assert answer.cancelled()

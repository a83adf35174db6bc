"""Connections leave the node some in each loop turn. Time and turns are injected."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.protocol.stage import Stage
from soundpost.backplane import MemoryRegistry, SingleNode
from soundpost.server.connections.leave_queue import LeaveQueue
from soundpost.server.runtime import Runtime


class Loop:
    """Turns when it is told to; a connection that leaves takes 1 ms of its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.left: list[tuple[int, int | None]] = []
        self._soon: list[Callable[[], None]] = []
        self.later: list[Callable[[], None]] = []
        self.is_behind = False
        """Whether the others are behind with what they are told."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.later.append(callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def turn(self) -> None:
        due, self._soon = self._soon, []
        for callback in due:
            callback()

    def connection(self, number: int) -> Any:
        def closed(connection: Any, code: int | None) -> None:
            self.now += 0.001
            self.left.append((number, code))
            if number < 0:
                raise ZeroDivisionError

        app = SimpleNamespace(node=SimpleNamespace(closed=closed))
        return SimpleNamespace(socket_id=f"{number}.1", app=app, channels=[])


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def queue(loop: Loop) -> LeaveQueue:
    return LeaveQueue(loop.call_soon, loop.call_later, lambda: loop.is_behind, clock=lambda: loop.now)


def test_a_connection_leaves_in_the_next_turn_with_its_code(loop: Loop, queue: LeaveQueue) -> None:
    queue.add(loop.connection(1), 4009)
    queue.add(loop.connection(2), None)
    assert not loop.left
    loop.turn()
    assert loop.left == [(1, 4009), (2, None)]
    assert not queue


def test_very_many_leave_in_order_over_several_turns(loop: Loop, queue: LeaveQueue) -> None:
    for number in range(40):
        queue.add(loop.connection(number), None)
    loop.turn()
    assert len(loop.left) == 16
    queue.add(loop.connection(40), None)
    loop.turn()
    loop.turn()
    assert [number for number, _ in loop.left] == list(range(41))
    assert not queue


def test_few_leave_at_a_time_while_the_others_are_behind_with_what_they_are_told() -> None:
    loop = Loop()
    queue = LeaveQueue(loop.call_soon, loop.call_later, lambda: loop.is_behind, clock=lambda: 0.0)
    loop.is_behind = True
    for number in range(100):
        queue.add(loop.connection(number), None)
    for expected in (16, 32):
        loop.turn()
        loop.turn()
        assert len(loop.left) == expected
        loop.call_soon(loop.later.pop())
    loop.is_behind = False
    loop.turn()
    assert len(loop.left) == 100
    assert not queue


async def test_a_server_asks_its_backplane_whether_that_is_behind(loop: Loop) -> None:
    running = asyncio.get_running_loop()
    registry = MemoryRegistry((), call_soon=running.call_soon, call_later=running.call_later)
    queue = Runtime((), deliver=lambda *_: None, close_timeout=1, peers=SingleNode(registry)).leave_queue
    registry.is_behind = True
    for number in range(40):
        queue.add(loop.connection(number), None)
    await asyncio.sleep(0)
    assert len(loop.left) == 16
    registry.is_behind = False
    while queue:  # noqa: ASYNC110 - the test's own wait
        await asyncio.sleep(0)
    assert len(loop.left) == 40


def test_a_fault_keeps_none_of_the_others(loop: Loop, queue: LeaveQueue, caplog: pytest.LogCaptureFixture) -> None:
    queue.add(loop.connection(-1), None)
    queue.add(loop.connection(2), None)
    with caplog.at_level(logging.ERROR):
        loop.turn()
    assert [number for number, _ in loop.left] == [-1, 2]
    assert "socket -1.1 could not leave all of its channels" in caplog.text


def test_a_connection_with_very_many_channels_leaves_them_in_order_over_several_turns() -> None:
    stage = Stage()
    client = stage.connect().join(*(f"room-{number}" for number in range(40)), "presence-room", user="1")
    ticks = itertools.count()
    queue = LeaveQueue(stage.call_soon, stage.call_later, lambda: False, clock=lambda: next(ticks))
    queue.add(client, None)

    left = []
    while queue:
        due, stage._soon = stage._soon, []
        for callback in due:
            callback()
        left.append(41 - len(client.channels))

    assert left == [16, 32, 41]
    assert not stage.app.channels
    assert client.socket_id not in stage.app.connections


def test_its_members_stay_for_their_grace_in_every_slice() -> None:
    stage = Stage(presence_grace=5)
    others = stage.connect().join("presence-first", user="other")
    client = stage.connect().join("presence-first", *(f"room-{number}" for number in range(60)), user="1")
    others.read()
    queue = LeaveQueue(stage.call_soon, stage.call_later, lambda: False)
    queue.add(client, None)
    stage.turn()

    assert others.events() == []
    stage.wait(5)
    assert [name for name, _ in others.events()] == ["pusher_internal:member_removed"]

"""Fair queueing: order of turns, and length of a loop turn. Time and turns are injected."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from soundpost.server.connections.fair_queue import FairQueue

MILLISECOND = 0.001


class Loop:
    """Turns when it is told to; its clock moves with the work that is done."""

    def __init__(self) -> None:
        self.now = 0.0
        self._soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def turn(self) -> float:
        """Run what is due; return how long that took."""
        began, due, self._soon = self.now, self._soon, []
        for callback in due:
            callback()
        return self.now - began

    @property
    def idle(self) -> bool:
        return not self._soon


class Client:
    """Has so many slices of work, each of so many seconds."""

    def __init__(self, name: str, loop: Loop, queue: FairQueue, done: list[str], slices: int, takes: float) -> None:
        self.name, self.loop, self.queue, self.done = name, loop, queue, done
        self.slices, self.takes = slices, takes
        self.dropped = False

    def work(self) -> None:
        self.loop.now += self.takes
        self.slices -= 1
        self.done.append(self.name)
        if self.slices:
            self.queue.add(self)

    def abort(self) -> None:
        self.dropped = True


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def queue(loop: Loop) -> FairQueue:
    return FairQueue(loop.call_soon, lambda: loop.now)


def test_everybody_has_a_slice_before_anybody_has_the_next(loop: Loop, queue: FairQueue) -> None:
    done: list[str] = []
    for name, slices in (("a", 3), ("b", 1), ("c", 2)):
        queue.add(Client(name, loop, queue, done, slices, 0))
    while not loop.idle:
        loop.turn()

    assert done == ["a", "b", "c", "a", "c", "a"]
    assert len(queue) == 0


@pytest.mark.parametrize("clients", [1, 10, 10_000])
def test_a_turn_of_the_loop_is_short_however_many_wait(loop: Loop, queue: FairQueue, clients: int) -> None:
    done: list[str] = []
    for number in range(clients):
        queue.add(Client(str(number), loop, queue, done, 3, MILLISECOND))
    longest = 0.0
    while not loop.idle:
        longest = max(longest, loop.turn())

    assert len(done) == 3 * clients
    assert longest <= 3 * MILLISECOND


def test_what_comes_in_a_turn_that_has_lasted_long_enough_has_to_queue(loop: Loop, queue: FairQueue) -> None:
    assert queue.has_time()
    loop.now += 10 * MILLISECOND
    assert not queue.has_time()
    loop.turn()
    assert queue.has_time()


def test_what_comes_has_time_of_its_own_in_a_turn_that_others_fill(loop: Loop, queue: FairQueue) -> None:
    queue.add(Client("busy", loop, queue, [], 100, MILLISECOND))
    for _ in range(10):
        assert loop.turn() > MILLISECOND
        assert queue.has_time()
        loop.now += 3 * MILLISECOND
        assert not queue.has_time()


def test_new_work_of_the_next_turn_comes_before_the_queue_and_has_the_time_of_that_turn(
    loop: Loop, queue: FairQueue
) -> None:
    done: list[str] = []
    assert queue.has_time()
    loop.now += 10 * MILLISECOND
    queue.add(Client("waiting", loop, queue, done, 1, 0))
    queue.call_first(lambda: done.append(f"new: {queue.has_time()}"))
    assert not queue.has_time()
    loop.turn()

    assert done == ["new: True", "waiting"]


def test_work_of_later_turns_needs_no_callback_until_the_time_is_over(loop: Loop, queue: FairQueue) -> None:
    assert queue.has_time()
    loop.turn()
    loop.now += MILLISECOND
    assert queue.has_time()
    assert loop.idle

    loop.now += 10 * MILLISECOND
    assert queue.has_time()
    loop.now += 10 * MILLISECOND
    assert not queue.has_time()


def test_a_client_that_fails_is_dropped_and_the_others_are_served(
    loop: Loop, queue: FairQueue, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    class Broken(Client):
        def work(self) -> None:
            raise ValueError("broken")

    broken = Broken("broken", loop, queue, done, 1, 0)
    queue.add(broken)
    queue.add(Client("sound", loop, queue, done, 1, 0))
    loop.turn()

    assert (broken.dropped, done) == (True, ["sound"])
    assert "broken" in caplog.text


def test_an_empty_queue_keeps_no_loop_awake(loop: Loop, queue: FairQueue) -> None:
    queue.has_time()
    loop.turn()

    assert loop.idle

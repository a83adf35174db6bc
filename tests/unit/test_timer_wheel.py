"""The timer wheel, turned by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from soundpost.server.connections.timer_wheel import SLOTS, TimerWheel


class Timed:
    def __init__(self, on_time: Callable[[int], int] = lambda now: 0) -> None:
        self.slot = -1
        self.seen: list[int] = []
        self._on_time = on_time

    def on_time(self, now: int) -> int:
        self.seen.append(now)
        return self._on_time(now)


def turn(wheel: TimerWheel, seconds: int) -> None:
    for _ in range(seconds):
        wheel.tick()


def test_looked_at_when_it_asked_for_and_then_never_again() -> None:
    wheel, timed = TimerWheel(), Timed()
    wheel.add(timed, 5)

    turn(wheel, 4)
    assert timed.seen == []
    turn(wheel, 2 * SLOTS)
    assert timed.seen == [5]
    assert timed.slot == -1


def test_looked_at_again_as_often_as_it_asks() -> None:
    wheel, timed = TimerWheel(), Timed(lambda now: 3 if now < 10 else 0)
    wheel.add(timed, 1)

    turn(wheel, 300)

    assert timed.seen == [1, 4, 7, 10]


def test_at_the_earliest_in_the_next_second() -> None:
    wheel, timed = TimerWheel(), Timed()
    wheel.add(timed, 0)

    wheel.tick()

    assert timed.seen == [1]


def test_long_times_are_looked_at_early_and_can_ask_again() -> None:
    wheel = TimerWheel()
    timed = Timed(lambda now: max(0, 1000 - now))
    wheel.add(timed, 1000)

    turn(wheel, 1200)

    assert timed.seen[-1] == 1000
    assert len(timed.seen) <= 1000 // (SLOTS - 1) + 1


def test_removed_things_are_not_looked_at() -> None:
    wheel, timed = TimerWheel(), Timed()
    wheel.add(timed, 5)
    wheel.remove(timed)
    wheel.remove(timed)

    turn(wheel, SLOTS)

    assert timed.seen == []


def test_adding_again_moves() -> None:
    wheel, timed = TimerWheel(), Timed()
    wheel.add(timed, 5)
    wheel.add(timed, 9)

    turn(wheel, SLOTS)

    assert timed.seen == [9]


def test_one_that_removes_another_due_in_the_same_second() -> None:
    wheel = TimerWheel()
    pair: list[Timed] = []

    def remove_the_other(now: int) -> int:
        for timed in pair:
            wheel.remove(timed)
        return 0

    pair += [Timed(remove_the_other), Timed(remove_the_other)]
    for timed in pair:
        wheel.add(timed, 2)

    turn(wheel, SLOTS)

    assert sorted(len(timed.seen) for timed in pair) == [0, 1]


def test_one_that_moves_another_due_in_the_same_second() -> None:
    wheel = TimerWheel()
    pair: list[Timed] = []

    def move_the_other(now: int) -> int:
        for timed in pair:
            if not timed.seen:
                wheel.add(timed, 3)
        return 0

    pair += [Timed(move_the_other), Timed(move_the_other)]
    for timed in pair:
        wheel.add(timed, 2)

    turn(wheel, SLOTS)

    assert sorted(timed.seen for timed in pair) == [[2], [5]]


def test_one_that_adds_itself_while_it_is_looked_at_stays_where_it_put_itself() -> None:
    wheel = TimerWheel()

    def again(now: int) -> int:
        if now == 1:
            wheel.add(timed, 4)
        return 0

    timed = Timed(again)
    wheel.add(timed, 1)

    turn(wheel, SLOTS)

    assert timed.seen == [1, 5]


def test_many_are_spread_over_the_wheel() -> None:
    wheel = TimerWheel()
    crowd = [Timed() for _ in range(1000)]
    for number, timed in enumerate(crowd):
        wheel.add(timed, 1 + number % 100)

    turn(wheel, 100)

    assert all(timed.seen == [1 + number % 100] for number, timed in enumerate(crowd))


def test_very_many_are_called_over_several_turns_and_who_is_removed_meanwhile_is_not() -> None:
    soon: list[Callable[[], None]] = []
    wheel = TimerWheel(soon.append)
    wheel.turn_clock = itertools.count().__next__  # each look takes a second
    timed = [Timed(lambda now: 5) for _ in range(4)]
    for each in timed:
        wheel.add(each, 1)

    wheel.tick()
    (first,) = [each for each in timed if each.seen]
    removed, changed, *_ = [each for each in timed if each is not first]
    wheel.remove(removed)
    wheel.add(changed, 3)
    while soon:
        soon.pop(0)()
    assert [removed.seen, changed.seen] == [[], []]
    assert sum(bool(each.seen) for each in timed) == 2
    turn(wheel, 3)
    while soon:
        soon.pop(0)()
    assert changed.seen == [4]

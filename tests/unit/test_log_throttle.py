"""Repeated warnings: one line of each kind in a while, with the number of those left out; time is injected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from soundpost.log_fields import fields
from soundpost.log_throttle import LogThrottle

LOG = logging.getLogger("soundpost.test")


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_of_each_kind_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    throttle = LogThrottle(LOG, Clock())

    for kind in ("a", "b", "a"):
        throttle.warn(kind, "about %s", kind)

    assert caplog.messages == ["about a", "about b"]


def test_the_next_line_says_how_many_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    throttle = LogThrottle(LOG, clock)
    for clock.now in (0, 1, 59, 60, 61):
        throttle.warn("a", "all wrong", interval=60)

    clock.now = 120
    throttle.warn("a", "%d of %s", 3, "them", interval=60)

    assert caplog.messages == [
        "all wrong",
        "all wrong (2 more in the last minute)",
        "3 of them (1 more in the last minute)",
    ]


def test_a_line_with_a_traceback_says_how_many_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    throttle = LogThrottle(LOG, clock)
    for _ in range(1_235):
        throttle.warn("a", "%s", "50% off")
    clock.now = 3600

    throttle.warn("a", "%s", "50% off", error=ValueError("the reason"), extra=fields(app="1"))

    assert caplog.messages == ["50% off", "50% off (1,234 more in the last hour)"]
    assert "ValueError: the reason" in caplog.text
    assert vars(caplog.records[1])["fields"] == {"app": "1", "more": 1_234}


@pytest.mark.parametrize(("seconds", "span"), [(30, "30 s"), (119, "119 s"), (600, "10 minutes"), (59, "minute")])
def test_the_time_since_the_line_before_is_told(seconds: float, span: str, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    throttle = LogThrottle(LOG, clock)
    for clock.now in (0, 1, seconds):
        throttle.warn("a", "all wrong", interval=20)

    assert caplog.messages[-1] == f"all wrong (1 more in the last {span})"


class Timers:
    """Timers of a loop that a test rings by hand, at the time of its clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds: float, callback: Callable[[], None]) -> None:
        self.waiting.append((self._clock.now + seconds, callback))

    def ring(self) -> None:
        waiting, self.waiting = self.waiting, []
        for self._clock.now, callback in waiting:
            callback()


def test_the_end_of_a_flood_is_told_though_nothing_follows(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    timers = Timers(clock)
    throttle = LogThrottle(LOG, clock, timers)
    for number in range(4_213):
        throttle.warn("a", "no. %d", number, interval=60)

    timers.ring()
    assert caplog.messages == ["no. 0", "no. 4212 (4,211 more in the last minute)"]
    assert timers.waiting == []
    throttle.warn("a", "in the interval that follows", interval=60)
    assert len(caplog.messages) == 2
    timers.ring()
    assert caplog.messages[2:] == ["in the interval that follows"]


def test_a_timer_of_an_earlier_interval_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    timers = Timers(clock)
    throttle = LogThrottle(LOG, clock, timers)
    throttle.warn("a", "one", interval=60)
    throttle.warn("a", "two", interval=60)
    clock.now = 61
    throttle.warn("a", "three", interval=60)
    throttle.warn("a", "four", interval=60)

    (_, early), (due, _) = timers.waiting
    clock.now = 62
    early()

    assert caplog.messages == ["one", "three (1 more in the last minute)"]
    assert due == 121


def _noting(told: asyncio.Event) -> Callable[[logging.LogRecord], bool]:
    def note(record: logging.LogRecord) -> bool:
        if "more" in record.getMessage():
            told.set()
        return True

    return note


async def test_in_a_loop_its_timers_are_used(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = LogThrottle(LOG)
    told = asyncio.Event()
    monkeypatch.setattr(LOG, "filters", [_noting(told)])
    for number in range(3):
        throttle.warn("a", "no. %d", number, interval=0.01)

    async with asyncio.timeout(20):
        await told.wait()
    assert caplog.messages == ["no. 0", "no. 2 (1 more in the last 0 s)"]

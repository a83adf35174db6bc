"""Repeated warnings: one line of each kind in a while, with the number of those left out; time is injected."""

from __future__ import annotations

import logging

import pytest

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
        throttle.warn("a", "all wrong", silence=60)

    clock.now = 120
    throttle.warn("a", "%d of %s", 3, "them", silence=60)

    assert caplog.messages == [
        "all wrong",
        "all wrong (2 more like this since the last such line)",
        "3 of them (1 more like this since the last such line)",
    ]


def test_the_number_left_out_is_told_in_words_of_its_owner(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    throttle = LogThrottle(LOG, clock, left_out=" ({:,} more)")
    for _ in range(1_235):
        throttle.warn("a", "%s", "50% off")
    clock.now = 3600

    throttle.warn("a", "%s", "50% off", error=ValueError("the reason"))

    assert caplog.messages == ["50% off", "50% off (1,234 more)"]
    assert "ValueError: the reason" in caplog.text

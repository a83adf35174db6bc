"""The refusals that a node remembers: counted, bounded, and none of them pushed out by a flood of others."""

from __future__ import annotations

import pytest

from soundpost.core.inspection import RefusalKind, RefusalLine
from soundpost.core.refusals import MAX_LINES, Refusals, without_secrets


class Clock:
    """A clock that stands still until it is set."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Noted(Refusals):
    """Refusals that are noted at the time of a clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock


@pytest.fixture
def refusals(clock: Clock) -> Noted:
    return Noted(clock)


def refuse(
    refusals: Noted,
    reason: str = "Application is disabled",
    *,
    kind: RefusalKind = "connection",
    code: int = 4003,
    app_id: str = "1",
    address: str = "192.0.2.1",
) -> None:
    refusals.add(RefusalLine(refusals.clock(), kind, reason, code, app_id, address, "https://example.com"))


def test_equal_refusals_are_one_line_with_a_count(refusals: Noted, clock: Clock) -> None:
    refuse(refusals)
    refuse(refusals, address="192.0.2.2")
    clock.now += 5
    refuse(refusals)

    found = [(line.address, line.count, line.at) for line in refusals.latest(10)]
    assert found == [("192.0.2.1", 2, 1_005.0), ("192.0.2.2", 1, 1_000.0)]


def test_the_newest_come_first_and_no_more_than_wanted(refusals: Noted, clock: Clock) -> None:
    for number in range(5):
        clock.now += 1
        refuse(refusals, code=4000 + number)

    assert [line.code for line in refusals.latest(3)] == [4004, 4003, 4002]


def test_a_flood_is_counted_and_does_not_push_out_others(refusals: Noted, clock: Clock) -> None:
    refuse(refusals, "auth has a wrong signature", kind="subscription", code=4009)

    for number in range(100_000):
        clock.now += 0.0001
        refuse(refusals, address=f"attacker {number}", app_id="")

    lines = refusals.latest(MAX_LINES)
    flood = [line for line in lines if line.kind == "connection"]
    assert [line.reason for line in lines if line.kind == "subscription"] == ["auth has a wrong signature"]
    assert len(flood) == 100
    assert sum(line.count + line.left_out for line in flood) > 90_000  # the rest was forgotten with older lines


@pytest.mark.parametrize("distinct", ["address", "reason", "app_id", "code"])
def test_memory_is_bounded_whatever_differs(refusals: Noted, clock: Clock, distinct: str) -> None:
    for number in range(5_000):
        clock.now += 0.1
        refuse(refusals, **{distinct: number if distinct == "code" else f"{number} " + "x" * 10_000})  # type: ignore[arg-type]

    lines = refusals.latest(10_000)
    assert 0 < len(lines) <= MAX_LINES
    assert refusals._size == len(lines)
    assert all(_longest_field(line) <= 500 for line in lines if distinct != "app_id")


def _longest_field(line: RefusalLine) -> int:
    return max(len(line.reason), len(line.address), len(line.origin), len(line.channel))


def test_many_kinds_share_the_room(refusals: Noted, clock: Clock) -> None:
    for number in range(100):
        for app in range(20):
            clock.now += 1
            refuse(refusals, f"reason {number}", app_id=str(app))

    lines = refusals.latest(MAX_LINES)
    assert len(lines) == MAX_LINES
    assert refusals._size == MAX_LINES
    assert lines[0].reason == "reason 99"


SECRET = "correct-horse-battery-staple-" * 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"no app has the key '{SECRET}'", "no app has the key '***'"),
        (f"no app has the key '{SECRET[:50]}'", "no app has the key '***'"),
        (f"{SECRET} and {SECRET}", "*** and ***"),
        ("correct", "correct"),
    ],
)
def test_a_secret_in_a_wrong_place_is_not_shown(text: str, shown: str) -> None:
    assert without_secrets(text, ["another-secret", SECRET, "short"]) == shown


def test_a_secret_that_is_a_common_word_hides_nothing() -> None:
    assert without_secrets("add its host to allowed_origins", ["host"]) == "add its host to allowed_origins"

"""The token bucket, with injected time."""

from __future__ import annotations

from soundpost.core.token_bucket import Allowance


def test_a_burst_then_nothing() -> None:
    allowance = Allowance(3, now=0)

    assert [allowance.take(3, 1, 0) for _ in range(5)] == [True, True, True, False, False]


def test_tokens_come_back_evenly() -> None:
    allowance = Allowance(4, now=0)
    for _ in range(4):
        allowance.take(4, 60, 0)

    assert not allowance.take(4, 60, 14)
    assert allowance.take(4, 60, 15)
    assert not allowance.take(4, 60, 16)
    assert allowance.take(4, 60, 30)


def test_no_more_than_a_burst_is_saved_up() -> None:
    allowance = Allowance(2, now=0)

    assert [allowance.take(2, 1, 1_000_000) for _ in range(3)] == [True, True, False]


def test_refused_attempts_cost_nothing() -> None:
    allowance = Allowance(1, now=0)
    allowance.take(1, 10, 0)
    for tenth in range(100):
        assert not allowance.take(1, 10, tenth / 10.1)

    assert allowance.take(1, 10, 10.01)

"""The token bucket, with injected time."""

from __future__ import annotations

from soundpost.core.token_bucket import TokenBucket


def test_a_burst_then_nothing() -> None:
    bucket = TokenBucket(3, now=0)

    assert [bucket.take(3, 1, 0) for _ in range(5)] == [True, True, True, False, False]


def test_tokens_come_back_evenly() -> None:
    bucket = TokenBucket(4, now=0)
    for _ in range(4):
        bucket.take(4, 60, 0)

    assert not bucket.take(4, 60, 14)
    assert bucket.take(4, 60, 15)
    assert not bucket.take(4, 60, 16)
    assert bucket.take(4, 60, 30)


def test_no_more_than_a_burst_is_saved_up() -> None:
    bucket = TokenBucket(2, now=0)

    assert [bucket.take(2, 1, 1_000_000) for _ in range(3)] == [True, True, False]


def test_refused_attempts_cost_nothing() -> None:
    bucket = TokenBucket(1, now=0)
    bucket.take(1, 10, 0)
    for tenth in range(100):
        assert not bucket.take(1, 10, tenth / 10.1)

    assert bucket.take(1, 10, 10.01)

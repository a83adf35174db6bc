"""The histogram of a load run: exact enough, bounded, and the same however it was split."""

from __future__ import annotations

import random

import pytest

from soundpost.tools.bench.histogram import LatencyHistogram, merged


def of(values: list[int]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)
    return histogram


def test_an_empty_one_has_no_percentiles() -> None:
    assert LatencyHistogram().percentile(99) == 0


def test_small_values_are_exact() -> None:
    histogram = of(list(range(1, 101)))
    assert [histogram.percentile(share) for share in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]


@pytest.mark.parametrize("exponent", range(1, 12))
def test_a_percentile_is_at_most_one_in_128_too_high_and_never_too_low(exponent: int) -> None:
    source = random.Random(exponent)
    values = sorted(source.randrange(10**exponent) for _ in range(2_000))
    histogram = of(values)
    for share in (1, 50, 90, 99, 99.9):
        exact = values[-(-int(len(values) * share * 10) // 1000) - 1]
        assert exact <= histogram.percentile(share) <= exact + exact / 128 + 1


def test_no_percentile_is_above_the_largest() -> None:
    assert of([1_000_003]).percentile(50) == 1_000_003


def test_merging_is_the_same_as_measuring_together() -> None:
    source = random.Random(1)
    values = [source.randrange(10**9) for _ in range(3_000)]
    assert merged([of(values[:10]), of(values[10:1_000]), LatencyHistogram(), of(values[1_000:])]) == of(values)


def test_merging_leaves_its_sources_alone() -> None:
    first = of([1])
    merged([first, of([2])])
    assert first == of([1])


def test_memory_is_bounded_whatever_comes() -> None:
    histogram = of([step * 2**power for power in range(50) for step in range(1, 2_000, 7)])
    assert len(histogram.buckets) < 8_000


def test_a_clock_that_goes_back_counts_as_no_time() -> None:
    assert of([-5]).percentile(50) == 0

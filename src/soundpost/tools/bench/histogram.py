"""Histogram of durations with bounded memory for any number of samples; histograms of several processes add up.

Its buckets grow with the value, as in HdrHistogram: 128 for every doubling, so that a percentile is at most 0.8 % too
high. Only buckets in use take memory: at most some 7,000.
"""

from __future__ import annotations

from typing import Final

import msgspec

_BITS: Final = 7
_STEPS: Final = 1 << _BITS


class LatencyHistogram(msgspec.Struct):
    """Samples in nanoseconds: the count of each bucket, the number of samples, their sum, the largest."""

    buckets: dict[int, int] = {}
    count: int = 0
    total: int = 0
    largest: int = 0

    def add(self, value: int) -> None:
        """Count one sample; negative ones, which clocks of two cores may give, count as 0."""
        value = max(value, 0)
        shift = value.bit_length() - _BITS - 1
        bucket = (shift << _BITS) + (value >> shift) if shift > 0 else value
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += value
        if value > self.largest:
            self.largest = value

    def merge(self, other: LatencyHistogram) -> None:
        """Add the samples of another histogram."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.largest = max(self.largest, other.largest)

    def percentile(self, share: float) -> int:
        """Return the value that ``share`` percent of the samples do not exceed; 0 without samples."""
        wanted = self.count * share / 100
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return min(_upper_edge(bucket), self.largest)
        return self.largest


def merged(histograms: list[LatencyHistogram]) -> LatencyHistogram:
    """Return a histogram of all samples."""
    whole = LatencyHistogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole


def _upper_edge(bucket: int) -> int:
    """Return the largest value that falls into a bucket."""
    if bucket < 2 * _STEPS:
        return bucket
    shift = (bucket >> _BITS) - 1
    return ((bucket & _STEPS - 1) + _STEPS + 1 << shift) - 1

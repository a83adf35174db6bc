"""Histograms of durations, for metrics, the dashboard and ``soundpost top``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

BOUNDS: Final[tuple[float, ...]] = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of a histogram's buckets, in seconds. One more bucket counts longer durations."""
_BOUNDED: Final = len(BOUNDS)


@dataclass
class Histogram:
    """Counts of durations by length, in the form of a Prometheus histogram."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """Number of durations in each bucket of :data:`BOUNDS`, not cumulative."""
    sum: float = 0.0
    """Sum of all durations, in seconds."""

    def observe(self, seconds: float) -> None:
        """Count one duration, in seconds."""
        bucket = 0
        while bucket < _BOUNDED and seconds > BOUNDS[bucket]:
            bucket += 1
        self.counts[bucket] += 1
        self.sum += seconds


def quantile(counts: Sequence[int], share: float) -> float:
    """Return a quantile of durations in seconds; 0 without durations.

    ``counts`` are those of a :class:`Histogram`. Like Prometheus, the function takes the durations of a bucket to be
    spread evenly. Durations beyond the last bound count as that bound.
    """
    rank = share * sum(counts)
    passed, lower = 0, 0.0
    for number, upper in zip(counts, BOUNDS, strict=False):
        if number and passed + number >= rank:
            return lower + (upper - lower) * (rank - passed) / number
        passed, lower = passed + number, upper
    return BOUNDS[-1] if rank else 0.0

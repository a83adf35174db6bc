"""Interface of a subject: a number that grows, and the measurement at each of its sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Figures = dict[str, float]
"""Named figures of one run; the name ends in the unit: ``_us`` microseconds, ``_ms``, ``_bytes``."""

Measure = Callable[[], Figures]


class Subject(NamedTuple):
    """One thing that grows."""

    name: str
    sizes: tuple[int, ...]
    candidates: Callable[[int], dict[str, Measure]]
    """What takes turns at a size, by name."""
    seconds: float
    """How long one measure may take."""


def microseconds(seconds: float) -> float:
    return round(seconds * 1e6, 3)

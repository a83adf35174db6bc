"""Numbers, sizes and durations as ``soundpost top`` shows them: short enough for a column."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "-"
"""Sign in place of a figure that is not known."""


def number(value: float) -> str:
    """Return a number in at most 5 characters, for a column: ``9,999``, ``12.3k``, ``1.23M``."""
    if value < 9.95 and value != int(value):
        return f"{value:.1f}"
    for unit, scale in (("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)):
        scaled = value / scale
        if unit == "" and value < 9_999.5:
            return f"{value:,.0f}"
        if unit and scaled < 999.5:
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{unit}"
    return f"{value:.0e}"


def size(value: float) -> str:
    """Return a number of bytes: ``512 B``, ``12.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.{0 if unit == 'B' or value >= 99.95 else 1}f} {unit}"
        value /= 1_000
    return f"{value:.1f} TB"


def seconds(value: float | None) -> str:
    """Return a duration: ``0.6 ms``, ``12 ms``, ``1.2 s``."""
    if value is None:
        return UNKNOWN
    if value >= 0.9995:
        return f"{value:.1f} s"
    return f"{value * 1_000:.{1 if value < 0.00995 else 0}f} ms"

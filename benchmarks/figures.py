"""Reader of the figures that ``growth.py`` wrote: medians, ratios to the floor, and tables of them."""

from __future__ import annotations

import json
import statistics
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from plots import Line

NAMES = {
    "floor": "C floor",
    "soundpost": "Soundpost",
    "websockets_broadcast": "websockets",
    "starlette_manager": "Starlette",
    "django_channels": "Django Channels",
}


class Results:
    """A subject's runs, by size and candidate."""

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text())
        self.machine: dict[str, Any] = document["machine"]
        self.rounds: int = document["rounds"]
        self.runs = {(row["size"], row["candidate"]): row["runs"] for row in document["rows"]}
        self.missing = {
            (row["size"], row["candidate"]): row["not_measured"] for row in document["rows"] if "not_measured" in row
        }
        self.sizes: list[int] = sorted({size for size, _ in self.runs})
        self.candidates: list[str] = list(dict.fromkeys(candidate for _, candidate in self.runs))

    def all(self, size: int, candidate: str, figure: str) -> list[float]:
        return [run[figure] for run in self.runs.get((size, candidate), ()) if figure in run]

    def median(self, size: int, candidate: str, figure: str) -> float | None:
        found = self.all(size, candidate, figure)
        return statistics.median(found) if found else None

    def ratios(self, size: int, candidate: str, figure: str) -> list[float]:
        """To the floor, of each round."""
        pairs = zip(self.all(size, candidate, figure), self.all(size, "floor", figure), strict=False)
        return [ours / bare for ours, bare in pairs]

    def ratio(self, size: int, candidate: str, figure: str) -> float | None:
        """To the floor, the median of the rounds' ratios."""
        ratios = self.ratios(size, candidate, figure)
        return statistics.median(ratios) if ratios else None

    def line(self, candidate: str, figure: str, name: str | None = None, unit: float = 1) -> Line:
        """Medians and extremes, in a unit that is so many times the stored one."""
        runs = {size: [value / unit for value in self.all(size, candidate, figure)] for size in self.sizes}
        return _line(name or NAMES.get(candidate, candidate), runs)

    def ratio_line(self, candidate: str, figure: str) -> Line:
        """Medians and extremes of the ratio to the floor."""
        return _line(NAMES[candidate], {size: self.ratios(size, candidate, figure) for size in self.sizes})

    def lines(self, figure: str, unit: float = 1) -> list[Line]:
        return [line for name in self.candidates if (line := self.line(name, figure, unit=unit)).sizes]


def _line(name: str, runs: dict[int, list[float]]) -> Line:
    measured = {size: values for size, values in runs.items() if values}
    middles, lows, highs = ([of(values) for values in measured.values()] for of in (statistics.median, min, max))
    return Line(name, [*measured], middles, lows, highs)


def number(value: float | None, unit: str) -> str:
    """A figure with its unit, no finer than it was measured."""
    if value is None:
        return "–"
    return f"{value:,.2f} {unit}" if value < 20 and unit == "µs" else f"{value:,.0f} {unit}"


def paragraph(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = [*head]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def beside_floor(results: Results, unit: str) -> str:
    """CPU per delivery of each server at each size, and its ratio to the floor."""

    def cell(size: int, candidate: str) -> str:
        text = number(results.median(size, candidate, "delivery_us"), "µs")
        ratio = None if candidate == "floor" else results.ratio(size, candidate, "delivery_us")
        return text if ratio is None else f"{text}, **{ratio:.{2 if ratio < 10 else 0}f}**"

    return table(
        [unit, *(NAMES[name] for name in results.candidates)],
        ([f"{size:,}", *(cell(size, name) for name in results.candidates)] for size in results.sizes),
    )


def left_out(results: Results) -> str:
    """A sentence for what was not measured."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for (size, candidate), reason in results.missing.items():
        rounds = len(results.runs[size, candidate])
        if rounds:
            reason = f"only {rounds} of {results.rounds} rounds: {reason}"
        reasons.setdefault((NAMES.get(candidate, candidate), reason), []).append(f"{size:,}")
    if not reasons:
        return ""
    parts = (f"{name} at {' and '.join(sizes)} ({reason})" for (name, reason), sizes in reasons.items())
    return paragraph("Not measured: " + "; ".join(parts) + ".")

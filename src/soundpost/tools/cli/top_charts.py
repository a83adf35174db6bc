"""Charts of ``soundpost top``: one line of blocks for each figure, the newest value on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

LABEL_WIDTH: Final = 14
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_ASCII: Final = "_.-=+*%#"
_MAX_WIDTH: Final = 24
"""Columns that are kept for the largest value, in words."""


class Chart:
    """A line with the values of a figure over time; ``largest`` is the largest value in words."""

    def __init__(self, label: str, values: Sequence[float], largest: str) -> None:
        self._label = label
        self._values = values
        self._largest = largest

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(1, options.max_width - LABEL_WIDTH - _MAX_WIDTH)
        line = blocks(self._values[-width:], _ASCII if options.ascii_only else _BLOCKS)
        yield Segment(self._label.ljust(LABEL_WIDTH), Style(color="cyan"))
        yield Segment(line.rjust(width), Style(color="green"))
        yield Segment(f"  at most {self._largest}"[:_MAX_WIDTH])
        yield Segment.line()


def blocks(values: Sequence[float], signs: str = _BLOCKS) -> str:
    """Return a sign for each value: its height is the value's share of the largest."""
    largest = max(values, default=0)
    if not largest:
        return signs[0] * len(values)
    return "".join(signs[min(len(signs) - 1, int(value / largest * len(signs)))] for value in values)

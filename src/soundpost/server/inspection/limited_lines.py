"""The lines of one tail from many nodes, no more of them than one node may send."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from soundpost.core.inspection import TailLines
from soundpost.core.tail_lines import MOST_LINES, PERIOD


class LimitedLines:
    """Hands lines on at once; what is too much for one period is counted as left out. ``clock`` is in seconds."""

    def __init__(self, on_lines: Callable[[TailLines], None], clock: Callable[[], float]) -> None:
        self._on_lines = on_lines
        self._clock = clock
        self._period_ends = 0.0
        self._room = MOST_LINES

    def __call__(self, lines: TailLines) -> None:
        """Hand on the lines of one node."""
        now = self._clock()
        if now >= self._period_ends:
            self._period_ends, self._room = now + PERIOD, MOST_LINES
        taken = lines.lines[: self._room]
        self._room -= len(taken)
        left_out = lines.left_out + len(lines.lines) - len(taken)
        self._on_lines(lines if len(taken) == len(lines.lines) else replace(lines, lines=taken, left_out=left_out))

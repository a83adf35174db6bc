"""Line plots as SVG, the same bytes for the same figures; legible on light and dark pages."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

STYLES = {
    # Okabe and Ito's palette, told apart by shape too.
    "C floor": ("#5f5f5f", "s"),
    "Soundpost": ("#0072b2", "o"),
    "websockets": ("#e69f00", "^"),
    "Starlette": ("#009e73", "D"),
    "Django Channels": ("#cc79a7", "v"),
    "second": ("#d55e00", "X"),
}
"""Colour and marker of a line by its name; ``second`` is any other."""

INK, PAPER, GRID = "#222222", "#ffffff", "#dddddd"


class Line(NamedTuple):
    """What was measured at each size."""

    name: str
    sizes: Sequence[float]
    middles: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


class Panel(NamedTuple):
    """One pair of axes; sizes are on a logarithmic axis."""

    across: str
    up: str
    lines: Sequence[Line]
    logarithmic: bool = True


def plot(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """Draw the panels side by side, 700 pixels wide."""
    settings = {
        "svg.hashsalt": "soundpost",
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.3, 3.9), facecolor=PAPER, layout="constrained")
        figure.suptitle(textwrap.fill(title, 80), fontsize=10.5, fontweight="bold", x=0.01, ha="left", linespacing=1.4)
        names: dict[str, Any] = {}
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw(axes, panel, names)
        figure.legend(names.values(), names.keys(), loc="outside lower center", ncols=5, frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": None})
    # Matplotlib leaves blanks at the ends of lines.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _draw(axes: matplotlib.axes.Axes, panel: Panel, names: dict[str, Any]) -> None:
    axes.set_facecolor(PAPER)
    axes.grid(True, color=GRID, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xscale("log")
    if panel.logarithmic:
        axes.set_yscale("log")
    for line in panel.lines:
        colour, marker = STYLES.get(line.name, STYLES["second"])
        width = 2.4 if line.name == "Soundpost" else 1.5
        (names[line.name],) = axes.plot(
            line.sizes, line.middles, color=colour, marker=marker, markersize=4.5, linewidth=width
        )
        axes.fill_between(line.sizes, line.lows, line.highs, color=colour, alpha=0.2, linewidth=0)
    if panel.lines:
        sizes = sorted({size for line in panel.lines for size in line.sizes})
        axes.set_xticks(sizes)
    if not panel.logarithmic:
        axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    _label_between_decades(axes, panel)
    axes.set_xlabel(panel.across)
    axes.set_ylabel(panel.up)


def _label_between_decades(axes: matplotlib.axes.Axes, panel: Panel) -> None:
    """On less than two decades, the marks between them need numbers too."""
    low, high = axes.get_ylim()
    few = panel.logarithmic and low > 0 and high / low < 100
    named = FuncFormatter(lambda value, _: f"{value:,.6g}" if f"{value:e}"[0] in "235" else "")
    axes.yaxis.set_minor_formatter(named if few else NullFormatter())


def _short(value: float) -> str:
    return f"{value / 1_000:g}k" if value >= 1_000 else f"{value:g}"

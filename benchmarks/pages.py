"""Sections of the documentation that benchmarks write, between two marks."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PERFORMANCE = DOCS / "performance.md"


def write_section(page: Path, name: str, text: str) -> None:
    """Replace what is between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``. Raises SystemExit if they lack."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before = page.read_text()
    if begin not in before or end not in before:
        raise SystemExit(f"{page} has no {begin} … {end} to write between.")
    head, rest = before.split(begin, 1)
    tail = rest.split(end, 1)[1]
    page.write_text(f"{head}{begin}\n{text.strip()}\n{end}{tail}")

"""The page of the docs with the results of the trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from resuming.rows import Result, table

PAGE: Final = Path(__file__).parents[2] / "docs" / "resumption-trials.md"
BEGIN, END = "<!-- trials:begin -->", "<!-- trials:end -->"


def with_results(page: str, results: Sequence[Result]) -> str:
    """The page with the table of these results in place of the one that it has."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def write_page(results: Sequence[Result]) -> None:
    """Write the table of these results into the page."""
    PAGE.write_text(with_results(PAGE.read_text(), results))

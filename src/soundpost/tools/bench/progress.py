"""Progress bar of a run, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from soundpost.tools.bench.messages import Progress
from soundpost.tools.bench.run import ShowProgress


@contextmanager
def progress_bar() -> Iterator[ShowProgress]:
    """Yield a function that shows progress; the function does nothing if stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda phase, progress, share: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"))
    with Bar(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task("starting", total=1.0, figures="")

        def show(phase: str, progress: Progress, share: float) -> None:
            figures = f"{progress.open:,} open, {progress.published:,} published, {progress.received:,} delivered"
            bar.update(task, description=phase, completed=min(share, 1.0), figures=figures)

        yield show

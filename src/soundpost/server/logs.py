"""Where log lines go, and how they look."""

from __future__ import annotations

import logging


def set_up_logging(*, debug: bool, process: str = "") -> None:
    """Log to stderr: warnings and worse, with ``debug`` more. ``process`` says which of several it is."""
    name = f" [{process}]" if process else ""
    logging.basicConfig(
        level=logging.INFO if debug else logging.WARNING,
        format=f"%(asctime)s %(levelname)s{name} %(name)s: %(message)s",
    )

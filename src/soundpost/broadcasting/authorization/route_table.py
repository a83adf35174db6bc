"""The table of channel routes that the commands of frameworks print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from soundpost.broadcasting.authorization.routes import ChannelRoute

_HEAD: Final = ("PATTERN", "KIND", "GUARDS", "CALLBACK")


def table_of(routes: Iterable[ChannelRoute]) -> list[str]:
    """Return the lines of a table with a header; no line for no routes. A column without any text is left out."""
    rows = [
        (route.pattern.text, route.kind, ", ".join(route.guards) or ("guests" if route.guests else ""), route.name)
        for route in routes
    ]
    if not rows:
        return []
    used = [bool("".join(column)) for column in zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width, wanted in zip(row, widths, used, strict=True) if wanted).rstrip()
        for row in (_HEAD, *rows)
    ]

"""Suggestions for an unknown name: the known name that is nearest to it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(unknown: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name most similar to ``unknown``; None if no similarity reaches ``cutoff`` (0 to 1)."""
    return next(iter(get_close_matches(unknown, list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(unknown: str, known: Iterable[str], *, cutoff: float = 0.6, otherwise: str = "") -> str:
    """Return ``; did you mean 'port'?`` to end a message with, or ``otherwise`` if no known name is near."""
    name = nearest(unknown, known, cutoff=cutoff)
    return otherwise if name is None else f"; did you mean {name!r}?"

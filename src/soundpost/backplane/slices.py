"""Answers about very many channels, made a slice at a time, so that the loop does other work in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from soundpost.core.outbox import CallSoon

T = TypeVar("T")

SLICE: Final = 250
"""Number of channels in one loop turn: some 0.5 ms from memory."""


def at_once(callback: Callable[[], None]) -> None:
    """Call back at once: a ``call_soon`` for code without a loop."""
    callback()


def parts_in_slices(
    items: Sequence[T],
    make: Callable[[Sequence[T], Callable[[bytes], None]], None],
    then: Callable[[list[bytes]], None],
    call_soon: CallSoon,
    size: int = SLICE,
) -> None:
    """Make the JSON of very many items in parts, and call ``then`` with them; without those that have no bytes.

    ``make`` gets a slice of ``size`` items, and calls back with their JSON. Few items are answered at once.
    """
    parts: list[bytes] = []

    def take(end: int, part: bytes) -> None:
        if part:
            parts.append(part)
        if end < len(items):
            call_soon(partial(step, end))
        else:
            then(parts)

    def step(start: int) -> None:
        end = start + size
        make(items[start:end], partial(take, end))

    step(0)


def json_in_slices(
    items: Sequence[T],
    make: Callable[[Sequence[T], Callable[[bytes], None]], None],
    then: Callable[[bytes], None],
    call_soon: CallSoon,
    size: int = SLICE,
) -> None:
    """Make a JSON object of very many items, and call ``then`` with it.

    ``make`` gets a slice of the items, and calls back with their members, such as ``b'"a":{},"b":{}'``, or with no
    bytes. Few items are answered at once.
    """

    def join(parts: list[bytes]) -> None:
        # A copy of 4 MB takes 2 ms: only one is made here, and those of whoever gets it in the next turn.
        if parts:
            parts[0] = b"{" + parts[0]
            parts[-1] += b"}"
        whole = b",".join(parts) or b"{}"
        if len(items) > size:
            call_soon(partial(then, whole))
        else:
            then(whole)

    parts_in_slices(items, make, join, call_soon, size)

"""Statements of very many channels or users, made some at a time, so that the loop does other work in between.

A host that is back at Redis states all its channels, which costs some 0.1 ms of the loop for each. Redis closes a
connection whose answers are not read: so no more channels are under way than it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from soundpost.core.slices import TURN

T = TypeVar("T")

MAX_UNANSWERED: Final = 100
"""Largest number of statements that Redis is still to answer: with 64 kB of missed events each, a fifth of the output
that Redis holds for a connection."""


async def state_in_slices(
    things: Iterable[T],
    state: Callable[[T, Callable[[], None]], bool],
    clock: Callable[[], float],
) -> None:
    """State channels or users, for some milliseconds in each loop turn; return once Redis has answered for all.

    ``state`` states one of them, calls back with the answer, and returns False if there is nothing to state. ``clock``
    is in seconds, and goes on within a loop turn.
    """
    unanswered = 0
    progress = asyncio.Event()

    def answered() -> None:
        nonlocal unanswered
        unanswered -= 1
        progress.set()

    until = clock() + TURN
    for thing in things:
        unanswered += 1
        if not state(thing, answered):
            unanswered -= 1
        while unanswered >= MAX_UNANSWERED:
            progress.clear()
            await progress.wait()
            until = clock() + TURN
        if clock() >= until:
            await asyncio.sleep(0)
            until = clock() + TURN
    while unanswered:
        progress.clear()
        await progress.wait()

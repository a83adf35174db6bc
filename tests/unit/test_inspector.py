"""Questions of operators whose asker goes away before the reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from soundpost.core.inspection import (
    HostQuestion,
    ListRefusals,
    Question,
    RefusalPage,
    Reply,
    StartTail,
    TailLines,
)
from soundpost.server.inspection.host_inspection import HostInspection
from soundpost.server.inspection.inspector import Inspector


class LateNodes:
    """A node and the other hosts, which reply when a test wants it."""

    def __init__(self) -> None:
        self.reply_here: Callable[[Reply], None]
        self.reply_elsewhere: Callable[[list[tuple[str, Reply]], list[str]], None]

    def inspect(self, question: Question, then: Callable[[Reply], None]) -> None:
        """Reply later."""
        self.reply_here = then

    def ask(
        self, question: Question | HostQuestion, then: Callable[[list[tuple[str, Reply]], list[str]], None]
    ) -> None:
        """Reply later."""
        self.reply_elsewhere = then

    def start_tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> None:
        """Do nothing."""

    def stop_tail(self, tail_id: str) -> None:
        """Do nothing."""


@pytest.mark.parametrize("has_replied_here", [False, True])
async def test_a_reply_that_nobody_waits_for_any_more_does_no_harm(has_replied_here: bool) -> None:
    nodes = LateNodes()
    inspector = Inspector("host", HostInspection(lambda: {"host": nodes}), nodes)
    asking = asyncio.ensure_future(inspector.ask(ListRefusals()))
    await asyncio.sleep(0)
    if has_replied_here:
        nodes.reply_here(RefusalPage([]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.sleep(0)
    if not has_replied_here:
        nodes.reply_here(RefusalPage([]))
    nodes.reply_elsewhere([], [])
    assert asking.cancelled()

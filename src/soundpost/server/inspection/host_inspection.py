"""The nodes of one host, as operators ask them: the only process, or all workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from msgspec.structs import replace

from soundpost.core.inspection import HostQuestion, Inspectable, Question, Reply, StartTail, TailLines
from soundpost.server.inspection.endpoints import reply_about_webhooks
from soundpost.server.inspection.joining import join
from soundpost.server.webhooks import WebhookDispatcher

TIME_TO_REPLY: Final = 1.5
"""Seconds that a node has to reply: fewer than a host has, so that one worker that hangs does not silence its host."""


class HostInspection:
    """Questions of operators to this host. ``nodes`` returns the nodes that serve now, by their names.

    ``webhooks`` returns the dispatcher by which the host sends webhooks, or would.
    """

    def __init__(
        self,
        nodes: Callable[[], Mapping[str, Inspectable]],
        webhooks: Callable[[], WebhookDispatcher | None] = lambda: None,
    ) -> None:
        self._nodes = nodes
        self._webhooks = webhooks
        self._loop = asyncio.get_running_loop()

    def ask(self, question: Question | HostQuestion, then: Callable[[Reply, list[str]], None]) -> None:
        """Call back with the joined reply of all nodes, and the names of those that did not reply in time."""
        if isinstance(question, HostQuestion):
            then(reply_about_webhooks(question, self._webhooks()), [])
            return
        nodes = dict(self._nodes())
        replies: dict[str, Reply] = {}
        timer: asyncio.TimerHandle | None = None
        is_done = False

        def finish() -> None:
            nonlocal is_done
            is_done = True
            if timer is not None:
                timer.cancel()
            then(join(question, list(replies.items())), [name for name in nodes if name not in replies])

        def take(name: str, reply: Reply) -> None:
            replies[name] = reply
            if len(replies) == len(nodes) and not is_done:
                finish()

        for name, node in nodes.items():
            node.inspect(question, partial(take, name))
        if not is_done:
            if nodes:
                timer = self._loop.call_later(TIME_TO_REPLY, finish)
            else:
                finish()

    def start_tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> None:
        """Begin a tail on all nodes, or keep it going: on those that have come since, too."""
        for name, node in self._nodes().items():
            node.start_tail(start, partial(_take_lines, name, on_lines))

    def stop_tail(self, tail_id: str) -> None:
        """End a tail on all nodes."""
        for node in self._nodes().values():
            node.stop_tail(tail_id)


def _take_lines(name: str, on_lines: Callable[[TailLines], None], lines: TailLines) -> None:
    on_lines(replace(lines, lines=[replace(line, worker=name) for line in lines.lines]))

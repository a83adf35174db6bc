"""A process of raw clients: ``python -m support.resumption.crowd``, told what to do in lines of JSON."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from typing import Any

import msgspec
import uvloop

from support.resumption import lines
from support.resumption.client_messages import Plan
from support.resumption.raw_client import RawClient
from support.resumption.stories import Gap, Told, behind, written

LOOK_SECONDS = 0.5


class Crowd:
    """All clients of this process. Each method without an underscore is a command."""

    def __init__(self) -> None:
        self._clients: list[RawClient] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._activity_timeout = 3.0

    async def connect(self, plans: list[dict[str, Any]], activity_timeout: float) -> int:
        """Add clients; how many there are when all are subscribed. ``activity_timeout``: seconds of silence."""
        self._activity_timeout = activity_timeout
        new = [RawClient(plan) for plan in msgspec.convert(plans, list[Plan])]
        self._clients += new
        self._tasks += [asyncio.create_task(client.run()) for client in new]
        if len(self._tasks) == len(new):
            self._tasks.append(asyncio.create_task(self._look_after()))
        await self.settle(60)
        gc.freeze()
        return len(self._clients)

    async def settle(self, seconds: float) -> int:
        """Wait until all are subscribed, at most so long; how many are not."""
        return await lines.none_left(lambda: sum(not client.is_subscribed for client in self._clients), seconds)

    async def reach(self, events: dict[str, str], seconds: float) -> list[str]:
        """Wait until each story has the event named for its channel; which have not."""
        stories = [story for client in self._clients for story in client.stories.values()]
        return await lines.none_left(lambda: behind(stories, events), seconds)

    def cut(self) -> int:
        """End all connections without a word."""
        return self._each(RawClient.cut)

    def reload(self, positions: dict[str, str]) -> int:
        """Replace all pages by new ones that were rendered from these positions."""
        resuming = [client for client in self._clients if client.plan.resumes]
        for client in resuming:
            client.reload(positions)
        return len(resuming)

    def stall(self, stalled: bool) -> int:
        """Stop reading, or go on."""
        for client in self._clients:
            client.stall(stalled)
        return len(self._clients)

    async def trickle(self, seconds: float) -> int:
        """Read slowly for a while, then as usual."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.stall(False)
            await asyncio.sleep(0.005)
            self.stall(True)
            await asyncio.sleep(0.02)
        return self.stall(False)

    async def churn(self, seconds: float) -> int:
        """Unsubscribe from the first channel, and subscribe again after a while."""
        for client in self._clients:
            client.leave(client.plan.channels[0])
        await asyncio.sleep(seconds)
        for client in self._clients:
            client.join(client.plan.channels[0])
        return len(self._clients)

    def sockets(self) -> list[str]:
        """The newest socket id of each client that resumes."""
        return [client.pages[-1][-1] for client in self._clients if client.plan.resumes and client.pages[-1]]

    def members(self, channel: str) -> dict[str, list[str]]:
        """The users on a presence channel, as each client on it was told."""
        return {
            client.plan.name: sorted(client.members[channel]) for client in self._clients if channel in client.members
        }

    def gaps(self) -> int:
        """How often clients were told of a gap so far."""
        stories = [story for client in self._clients for story in client.stories.values()]
        return sum(isinstance(entry, Gap) for story in stories for entry in story.entries)

    def tell(self) -> str:
        """Write what all have to tell into a file; its path."""
        ends: Counter[str] = Counter()
        for client in self._clients:
            ends.update(client.ends)
        told = Told(
            [story for client in self._clients for story in client.stories.values()],
            {client.plan.name: client.pages for client in self._clients},
            [away for client in self._clients for away in client.away],
            dict(ends),
            sum(client.dropped for client in self._clients),
            sum(client.notices for client in self._clients),
        )
        return written(told)

    def _each(self, do: Any) -> int:
        for client in self._clients:
            do(client)
        return len(self._clients)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for client in self._clients:
                client.look_after(self._activity_timeout)


async def main() -> None:
    """Do what is asked until standard input ends."""
    crowd = Crowd()

    def command(name: str) -> Any:
        return getattr(crowd, name)

    await lines.answer_lines(command)


if __name__ == "__main__":
    uvloop.run(main())

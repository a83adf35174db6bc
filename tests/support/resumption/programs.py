"""A process of ``soundpost.client``: ``python -m support.resumption.programs``, told what to do in lines of JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import msgspec

from soundpost.client import ChannelAuth, Client, Gap, Subscription, with_secret
from soundpost.errors import SoundpostError
from support.resumption import lines
from support.resumption.client_messages import EVENT, Plan, event_in
from support.resumption.stories import Began, Handed, Rendered, Story, Told, behind, written
from support.resumption.stories import Gap as ToldOfGap


class Program:
    """A program that iterates over the events of some channels."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stories = {channel: Story(plan.name, channel, "resuming") for channel in plan.channels}
        self.pages: list[list[str]] = [[]]
        self.subscriptions: list[Subscription] = []
        self._client: Client | None = None
        self._readers: list[asyncio.Task[None]] = []

    @property
    def is_subscribed(self) -> bool:
        """Whether it is, on all its channels."""
        return len(self.subscriptions) == len(self.plan.channels) and all(
            each.is_subscribed for each in self.subscriptions
        )

    async def open(self, positions: dict[str, str] | None = None) -> None:
        """Connect, and begin after these positions, or with what is new."""
        plan = self.plan
        while True:
            client = Client(f"http://127.0.0.1:{plan.ports[0]}", plan.key, auth=self._authorize)
            with suppress(SoundpostError, OSError):
                await client.connect()
                break
            await asyncio.sleep(0.1)
        self._client = client
        self._note_socket()
        for channel in plan.channels:
            after = (positions or {}).get(channel)
            subscription = client.subscribe(channel, after=after)
            self.subscriptions.append(subscription)
            self._readers.append(asyncio.create_task(self._read(subscription, after)))

    def _authorize(self, socket_id: str, channel: str) -> ChannelAuth | Awaitable[ChannelAuth | None] | None:
        """Sign a subscription as an application with the newest master key does."""
        plan = self.plan
        sign = with_secret(plan.key, plan.secret, user_id=plan.name, encryption_master_key=plan.master_key)
        return sign(socket_id, channel)

    async def reload(self, positions: dict[str, str]) -> None:
        """Become a new program that knows these positions."""
        for reader in self._readers:
            reader.cancel()
        self._readers.clear()
        self.subscriptions.clear()
        if self._client is not None:
            await self._client.close()
        self.pages.append([])
        known = {channel: positions[channel] for channel in self.plan.channels}
        for channel, position in known.items():
            self.stories[channel].entries.append(Rendered(time.monotonic(), position))
        await self.open(known)

    async def _read(self, subscription: Subscription, after: str | None) -> None:
        entries = self.stories[subscription.channel].entries
        await subscription
        if after is None:
            entries.append(Began(time.monotonic(), subscription.position))
        async for event in subscription:
            now = time.monotonic()
            if isinstance(event, Gap):
                entries.append(ToldOfGap(now, event.position, event.reason))
            elif event.name == EVENT:
                entries.append(Handed(now, event_in(event.raw), event.position))
            self._note_socket()

    def _note_socket(self) -> None:
        assert self._client is not None
        page = self.pages[-1]
        if self._client.socket_id not in page[-1:]:
            page.append(self._client.socket_id)


class Programs:
    """All programs of this process. Each method without an underscore is a command, as of ``crowd.Crowd``."""

    def __init__(self) -> None:
        self._programs: list[Program] = []

    async def connect(self, plans: list[dict[str, Any]], activity_timeout: float) -> int:
        """Add programs, and wait until all are subscribed."""
        new = [Program(plan) for plan in msgspec.convert(plans, list[Plan])]
        self._programs += new
        await asyncio.gather(*(program.open() for program in new))
        return await self.settle(60)

    async def settle(self, seconds: float) -> int:
        """Wait until all are subscribed, at most so long; how many are not."""
        return await lines.none_left(lambda: sum(not each.is_subscribed for each in self._programs), seconds)

    async def reach(self, events: dict[str, str], seconds: float) -> list[str]:
        """Wait until each story has the event named for its channel; which have not."""
        stories = [story for program in self._programs for story in program.stories.values()]
        return await lines.none_left(lambda: behind(stories, events), seconds)

    async def reload(self, positions: dict[str, str]) -> int:
        """Replace all programs by new ones that know these positions."""
        await asyncio.gather(*(program.reload(positions) for program in self._programs))
        return len(self._programs)

    def seal_with(self, master_key: str) -> int:
        """Have the applications that authorize know this master key from now on."""
        for program in self._programs:
            program.plan.master_key = master_key
        return len(self._programs)

    def sockets(self) -> list[str]:
        """The newest socket id of each."""
        return [program.pages[-1][-1] for program in self._programs if program.pages[-1]]

    def tell(self) -> str:
        """Write what all have to tell into a file; its path."""
        told = Told(
            [story for program in self._programs for story in program.stories.values()],
            {program.plan.name: program.pages for program in self._programs},
        )
        return written(told)


async def main() -> None:
    """Do what is asked until standard input ends."""
    programs = Programs()

    def command(name: str) -> Any:
        return getattr(programs, name)

    await lines.answer_lines(command)


if __name__ == "__main__":
    asyncio.run(main())

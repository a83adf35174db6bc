"""A process of applications that publish by the library: ``python -m support.resumption.applications``.

It is told what to do in lines of JSON. An event is acknowledged when its call has returned, and given up when the call
raises. The library itself decides whether a request is sent again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any, Final

from soundpost import Broadcaster
from soundpost.errors import BroadcastError
from support.harness import DEFAULT_APP
from support.resumption import lines
from support.resumption.client_messages import EVENT
from support.resumption.stories import Publication, Told, written

SEVERAL: Final = 0.1
"""Share of the events that are published on several channels."""
BATCHES: Final = 0.1
EXCLUDING: Final = 0.05
SENT: Final = 2
"""How often a request may have been sent: the library does not tell."""


class Application:
    """Publishes ``name.1``, ``name.2``, … on channels at random, one call after the other.

    ``blocks``: whether it does so in a thread, as a site without an event loop.
    """

    def __init__(self, name: str, port: int, channels: Sequence[str], rate: float, *, blocks: bool, seed: str) -> None:
        self.publications: list[Publication] = []
        self.errors: list[str] = []
        self.sockets: list[str] = []
        self.turn = asyncio.Lock()
        """Held while something is published."""
        self.broadcaster: Broadcaster
        self._name = name
        self._port = port
        self._channels = list(channels)
        self._pause = 1 / rate
        self._blocks = blocks
        self._random = random.Random(f"{seed}{name}")
        self._number = 0

    def seal_with(self, master_key: str) -> None:
        """Encrypt with this key from now on."""
        self.broadcaster = Broadcaster()
        connection = {
            "app_id": DEFAULT_APP.id,
            "key": DEFAULT_APP.key,
            "secret": DEFAULT_APP.secret,
            "host": "127.0.0.1",
            "port": self._port,
            "encryption_master_key": master_key,
        }
        self.broadcaster.configure(default="main", connections={"main": connection})

    async def run(self, over: asyncio.Event) -> None:
        """Publish until it is over."""
        while not over.is_set():
            async with self.turn:
                await self._publish_any()
            await asyncio.sleep(self._pause)

    async def _publish_any(self) -> None:
        chance = self._random.random()
        several = chance < SEVERAL + BATCHES
        channels = self._random.sample(self._channels, 2 if several else 1)
        excluded = self._random.choice(self.sockets) if self.sockets and self._random.random() < EXCLUDING else None
        as_batch = several and (chance < BATCHES or any("-encrypted-" in channel for channel in channels))
        events = [self._next_event() for _ in channels] if as_batch else [self._next_event()] * len(channels)
        new = [
            Publication(channel, event, time.monotonic(), host=-1, attempts=SENT, excluded=excluded or "")
            for channel, event in zip(channels, events, strict=True)
        ]
        self.publications += new
        try:
            await self._publish(new, as_batch=as_batch, socket_id=excluded)
        except BroadcastError as error:
            self.errors.append(error.reason[:100])
        else:
            answered = time.monotonic()
            for publication in new:
                publication.answered = answered

    def _next_event(self) -> str:
        self._number += 1
        return f"{self._name}.{self._number}"

    async def _publish(self, new: list[Publication], *, as_batch: bool, socket_id: str | None) -> None:
        broadcaster = self.broadcaster

        def block() -> None:
            if not as_batch:
                channels = [each.channel for each in new]
                broadcaster.publish(channels, EVENT, _data(new[0]), socket_id=socket_id)
                return
            with broadcaster.batch():
                for each in new:
                    broadcaster.publish(each.channel, EVENT, _data(each), socket_id=socket_id)

        if self._blocks:
            await asyncio.to_thread(block)
        elif as_batch:
            async with broadcaster.abatch():
                for each in new:
                    await broadcaster.apublish(each.channel, EVENT, _data(each), socket_id=socket_id)
        else:
            channels = [each.channel for each in new]
            await broadcaster.apublish(channels, EVENT, _data(new[0]), socket_id=socket_id)


def _data(publication: Publication) -> str:
    return f"{publication.event} {'x' * 60}"


class Applications:
    """All applications of this process. Each method without an underscore is a command."""

    def __init__(self) -> None:
        self._applications: list[Application] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()

    def start(self, ports: list[int], channels: list[str], rate: float, master_key: str, seed: str) -> int:
        """Begin to publish: one application to each port, in a thread and in the loop in turn."""
        for number, port in enumerate(ports):
            application = Application(f"a{number}", port, channels, rate, blocks=number % 2 == 0, seed=seed)
            application.seal_with(master_key)
            self._applications.append(application)
            self._tasks.append(asyncio.create_task(application.run(self._over)))
        return len(ports)

    async def seal_with(self, master_key: str) -> int:
        """Have all encrypt with this key from their next event on; nothing of the old key is under way then."""
        for application in self._applications:
            await application.turn.acquire()
        for application in self._applications:
            application.seal_with(master_key)
            application.turn.release()
        return len(self._applications)

    def exclude(self, sockets: list[str]) -> int:
        """Choose those that are excluded among these socket ids."""
        for application in self._applications:
            application.sockets = sockets
        return len(sockets)

    async def stop(self) -> int:
        """Publish no more; how many calls have failed."""
        self._over.set()
        await asyncio.gather(*self._tasks)
        return sum(len(application.errors) for application in self._applications)

    def tell(self) -> str:
        """Write what was published into a file; its path."""
        publications = [each for application in self._applications for each in application.publications]
        return written(Told([], publications=publications))


async def main() -> None:
    """Do what is asked until standard input ends."""
    applications = Applications()

    def command(name: str) -> Any:
        return getattr(applications, name)

    await lines.answer_lines(command)


if __name__ == "__main__":
    asyncio.run(main())
